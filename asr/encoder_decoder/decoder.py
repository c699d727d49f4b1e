"""The decoder of Bahdanau et al. (2015, 1409.0473): a GRU that asks, for every label, where in the recording to listen.

Unlike the transducer's predictor it hears what it attended to before, so labels are computed one after the other in
training, too, and the whole recording has to be there before the first.

Letters: B batch, S encoder frames, U labels, D encoder width, P decoder width, J width of the alignment model and of
the output's hidden layer, V vocabulary.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

from asr.attention.additive import Additive
from asr.attention.global_attention import Global
from asr.config import ModelConfig
from asr.transducer.gru import gru_step


class Memory(NamedTuple):
    """An encoded recording as the decoder attends to it.

    Attributes:
        keys: [B, S, J] projected once for all labels.
        values: [B, S, D].
        mask: [B, S] bool, frames that exist.
    """

    keys: Any
    values: Any
    mask: Any


class Decoder(keras.layers.Layer):
    """Labels so far and a recording to the next label; in float32.

    Args:
        config: Sizes: `predictor_dim` is P, `joint_dim` J.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        """Keeps the sizes; weights are made in `build`."""
        super().__init__(dtype="float32", **kwargs)
        self.vocabulary, self.dim, self.joint_dim = config.vocabulary, config.predictor_dim, config.joint_dim
        self.dropout = config.label_dropout
        self.attention = Global(Additive(config.joint_dim, project_key=False, name="energies"), name="attention")
        self.seed = keras.random.SeedGenerator()

    def build(self, input_shape: Any) -> None:
        """Makes the weights; `input_shape` is that of the encoder's frames [B, S, D]."""
        d, p, j, v = input_shape[-1], self.dim, self.joint_dim, self.vocabulary
        self.key_kernel = self.add_weight(shape=(d, j), name="key")
        self.attention.build((None, None, p), (None, None, d), (None, None, j))
        self.embedding = self.add_weight(shape=(v + 1, p), initializer="glorot_uniform", name="embedding")
        self.initial_kernel = self.add_weight(shape=(d, p), name="initial")
        self.label_kernel = self.add_weight(shape=(p, 3 * p), name="label_kernel")
        self.context_kernel = self.add_weight(shape=(d, 3 * p), name="context_kernel")
        self.recurrent = self.add_weight(shape=(p, 3 * p), initializer="orthogonal", name="recurrent")
        self.input_bias = self.add_weight(shape=(3 * p,), initializer="zeros", name="input_bias")
        self.bias = self.add_weight(shape=(3 * p,), initializer="zeros", name="bias")
        self.state_hidden = self.add_weight(shape=(p, j), name="state_hidden")
        self.label_hidden = self.add_weight(shape=(p, j), name="label_hidden")
        self.context_hidden = self.add_weight(shape=(d, j), name="context_hidden")
        self.hidden_bias = self.add_weight(shape=(j,), initializer="zeros", name="hidden_bias")
        self.output_kernel = self.add_weight(shape=(j, v + 1), name="output")
        self.output_bias = self.add_weight(shape=(v + 1,), initializer="zeros", name="output_bias")

    def memory(self, encoded: Any, lengths: Any) -> Memory:
        """What is attended to: encoder frames [B, S, D], of which [B] exist."""
        encoded = ops.cast(encoded, "float32")
        mask = ops.arange(encoded.shape[1]) < ops.cast(lengths, "int32")[:, None]
        return Memory(ops.matmul(encoded, self.key_kernel), encoded, mask)

    def initial_state(self, memory: Memory) -> Any:
        """[B, P]: tanh(W h̄), from the mean of the frames (Bahdanau's takes the backward network's last)."""
        weights = ops.cast(memory.mask, "float32")[..., None]
        mean = ops.sum(memory.values * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1.0)
        return ops.tanh(ops.matmul(mean, self.initial_kernel))

    def step(self, label: Any, state: Any, memory: Memory) -> tuple[Any, Any, Any]:
        """Scores of the label after `label`.

        Args:
            label: [B] int32, the label before; V at the start.
            state: [B, P], from `initial_state` or the step before.
            memory: From `memory`.

        Returns:
            Logits [B, V + 1] (the last is the text's end), the next state [B, P] and weights [B, S].
        """
        embedded = ops.take(self.embedding, label, axis=0)
        state, context, weights = self._listen(self._inputs(embedded), state, memory)
        return self._output(embedded, state, context), state, weights

    def call(self, labels: Any, memory: Memory, training: bool = False) -> Any:
        """Teacher forcing: logits [B, U + 1, V + 1] after each prefix of labels [B, U] int32."""
        started = ops.pad(ops.cast(labels, "int32"), ((0, 0), (1, 0)), constant_values=self.vocabulary)
        embedded = ops.take(self.embedding, ops.transpose(started), axis=0)  # [U + 1, B, P]
        if training and self.dropout > 0.0:
            embedded = keras.random.dropout(embedded, self.dropout, seed=self.seed)

        # Keras' scan wants outputs of the carry's shape: the context is carried along, and not read.
        def advance(carried: Any, inputs: Any) -> tuple[Any, Any]:
            state, context, _ = self._listen(inputs, carried[:, : self.dim], memory)
            carried = ops.concatenate([state, context], axis=-1)
            return carried, carried

        start = ops.concatenate([self.initial_state(memory), ops.zeros_like(memory.values[:, 0])], axis=-1)
        _, found = ops.scan(advance, start, self._inputs(embedded))
        states, contexts = found[..., : self.dim], found[..., self.dim :]
        return ops.transpose(self._output(embedded, states, contexts), (1, 0, 2))

    def _inputs(self, embedded: Any) -> Any:
        """The GRU's input from labels: [..., P] -> [..., 3P]."""
        return ops.matmul(embedded, self.label_kernel) + self.input_bias

    def _listen(self, inputs: Any, state: Any, memory: Memory) -> tuple[Any, Any, Any]:
        """Equations of appendix A.1.2: attend by the state before, then step: next state, context [B, D], weights."""
        context, weights = self.attention.call(state[:, None], memory.values, key=memory.keys, mask=memory.mask)
        context = context[:, 0]
        state = gru_step(inputs + ops.matmul(context, self.context_kernel), state, self.recurrent, self.bias)
        return state, context, weights[:, 0]

    def _output(self, embedded: Any, states: Any, contexts: Any) -> Any:
        """Deep output from label, state and context, [..., P], [..., P], [..., D] -> [..., V + 1]; tanh for maxout."""
        hidden = ops.matmul(states, self.state_hidden) + ops.matmul(embedded, self.label_hidden)
        hidden = ops.tanh(hidden + ops.matmul(contexts, self.context_hidden) + self.hidden_bias)
        return ops.matmul(hidden, self.output_kernel) + self.output_bias
