"""The label predictor: a recurrent network over labels only.

It does not see the attention's context, so that its states do not depend on the alignment and the lattice is exact;
unless the model has context feedback, as in the original paper (Jaitly et al. 2016, 1511.04868): then it is trained on
one alignment (`asr.transducer.feedback`).
"""

from typing import Any

import keras
from keras import ops

from asr.transducer.gru import gru_sequence, gru_step


class Predictor(keras.layers.Layer):
    """Embedding and one GRU: labels so far to a state.

    Args:
        vocabulary: V; label V is the start symbol.
        dim: P, width of embedding and state.
        dropout: Rate on the embedding, in training.
        noise: Share of the labels that are replaced by random ones, in training: recognition makes mistakes, too,
            and a model that never saw one says again what it misheard.
        context_dim: J, width of the context fed back; 0: none is.
    """

    def __init__(
        self,
        vocabulary: int,
        dim: int,
        dropout: float = 0.0,
        noise: float = 0.0,
        context_dim: int = 0,
        **kwargs: Any,
    ) -> None:
        """Keeps the sizes; weights are made in `build`."""
        super().__init__(**kwargs)
        self.vocabulary, self.dim, self.dropout, self.context_dim = vocabulary, dim, dropout, context_dim
        self.noise = noise
        self.seed = keras.random.SeedGenerator()

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        p = self.dim
        self.embedding = self.add_weight(shape=(self.vocabulary + 1, p), initializer="glorot_uniform", name="embedding")
        self.kernel = self.add_weight(shape=(p, 3 * p), name="kernel")
        self.recurrent = self.add_weight(shape=(p, 3 * p), initializer="orthogonal", name="recurrent")
        self.input_bias = self.add_weight(shape=(3 * p,), initializer="zeros", name="input_bias")
        self.bias = self.add_weight(shape=(3 * p,), initializer="zeros", name="bias")
        if self.context_dim:
            # From zero: a model that starts from one without feedback starts as that model.
            self.feedback = self.add_weight(shape=(self.context_dim, 3 * p), initializer="zeros", name="feedback")

    def call(self, labels: Any, training: bool = False) -> Any:
        """States after each prefix of the labels, contexts zero: [B, U] int32 -> [B, U + 1, P] float32."""
        return self._scan(self.inputs(labels, training=training))

    def inputs(self, labels: Any, training: bool = False) -> Any:
        """The GRU's projected inputs, without contexts: [B, U] int32 -> [B, U + 1, 3P] float32, the start first."""
        if training and self.noise > 0.0:
            shape = ops.shape(labels)
            replaced = keras.random.uniform(shape, seed=self.seed, dtype="float32") < self.noise
            other = keras.random.randint(shape, 0, self.vocabulary, dtype="int32", seed=self.seed)
            labels = ops.where(replaced, other, ops.cast(labels, "int32"))
        started = ops.pad(labels, ((0, 0), (1, 0)), constant_values=self.vocabulary)  # [B, U + 1]
        x = ops.take(self.embedding, started, axis=0)
        if training and self.dropout > 0.0:
            x = keras.random.dropout(x, self.dropout, seed=self.seed)
        return ops.cast(ops.matmul(x, self.kernel), "float32") + ops.cast(self.input_bias, "float32")

    def _scan(self, x: Any) -> Any:
        """Runs the GRU over projected inputs [B, U + 1, 3P], in float32: -> [B, U + 1, P]."""
        recurrent, bias = ops.cast(self.recurrent, "float32"), ops.cast(self.bias, "float32")
        return ops.transpose(gru_sequence(ops.transpose(x, (1, 0, 2)), recurrent, bias), (1, 0, 2))

    def initial_state(self, batch: int) -> Any:
        """State of `batch` new streams, after the start symbol: [B, P]."""
        return self.advance(self._input(ops.full((batch,), self.vocabulary, "int32")), ops.zeros((batch, self.dim)))

    def projected(self) -> Any:
        """The GRU's projected inputs of all labels, [V + 1, 3P]: for `step`, while weights do not change."""
        return ops.matmul(self.embedding, self.kernel) + self.input_bias

    def step(self, label: Any, state: Any, context: Any = None, projected: Any = None) -> Any:
        """State after one more label.

        Args:
            label: [B] int32.
            state: [B, P] before it.
            context: [B, J] that it was emitted with (`BlockJoint.listen`); not used without context feedback.
            projected: From `projected`; None: the label is projected here.

        Returns:
            [B, P].

        Raises:
            ValueError: if the context is missing where it is fed back.
        """
        if self.context_dim and context is None:
            raise ValueError(f"expected the context [B, {self.context_dim}] of the label, got none")
        x = self._input(label) if projected is None else ops.take(projected, label, axis=0)
        return self.advance(x, state, context)

    def advance(self, x: Any, state: Any, context: Any = None) -> Any:
        """One step of the GRU: [B, 3P] projected input, [B, P], [B, J] (None: zero) -> [B, P]."""
        if self.context_dim and context is not None:
            x = x + ops.matmul(context, self.feedback)
        return gru_step(x, state, self.recurrent, self.bias)

    def _input(self, label: Any) -> Any:
        """The GRU's projected input of one label: [B] int32 -> [B, 3P]."""
        return ops.matmul(ops.take(self.embedding, label, axis=0), self.kernel) + self.input_bias
