"""The label predictor: a recurrent network over labels only.

It never sees the attention's context, so that its states do not depend on the alignment and the lattice is exact.
"""

from typing import Any

import keras
from keras import ops

from asr.fused import fused


def _gru(x: Any, h: Any, recurrent: Any, bias: Any) -> Any:
    """One step of a gated recurrent unit (Cho et al. 2014, 1406.1078; the reset-after form of cuDNN).

    x [B, 3P] (projected input), h [B, P] -> [B, P].
    """
    update_x, reset_x, new_x = ops.split(x, 3, axis=-1)
    update_h, reset_h, new_h = ops.split(ops.matmul(h, recurrent) + bias, 3, axis=-1)
    update = ops.sigmoid(update_x + update_h)
    new = ops.tanh(new_x + ops.sigmoid(reset_x + reset_h) * new_h)
    return update * h + (1.0 - update) * new


class Predictor(keras.layers.Layer):
    """Embedding and one GRU: labels so far to a state.

    Args:
        vocabulary: V; label V is the start symbol.
        dim: P, width of embedding and state.
        dropout: Rate on the embedding, in training.
    """

    def __init__(self, vocabulary: int, dim: int, dropout: float = 0.0, **kwargs: Any) -> None:
        """Keeps the sizes; weights are made in `build`."""
        super().__init__(**kwargs)
        self.vocabulary, self.dim, self.dropout = vocabulary, dim, dropout
        self.seed = keras.random.SeedGenerator()

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        p = self.dim
        self.embedding = self.add_weight(shape=(self.vocabulary + 1, p), initializer="glorot_uniform", name="embedding")
        self.kernel = self.add_weight(shape=(p, 3 * p), name="kernel")
        self.recurrent = self.add_weight(shape=(p, 3 * p), initializer="orthogonal", name="recurrent")
        self.input_bias = self.add_weight(shape=(3 * p,), initializer="zeros", name="input_bias")
        self.bias = self.add_weight(shape=(3 * p,), initializer="zeros", name="bias")

    def call(self, labels: Any, training: bool = False) -> Any:
        """States after each prefix of the labels: [B, U] int32 -> [B, U + 1, P] float32."""
        start = ops.full_like(labels[:, :1], self.vocabulary)
        x = ops.take(self.embedding, ops.concatenate([start, labels], axis=1), axis=0)
        if training and self.dropout > 0.0:
            x = keras.random.dropout(x, self.dropout, seed=self.seed)
        x = ops.cast(ops.matmul(x, self.kernel), "float32") + ops.cast(self.input_bias, "float32")
        return self._scan(x)

    def _scan(self, x: Any) -> Any:
        """Runs the GRU over projected inputs [B, U + 1, 3P], in float32: -> [B, U + 1, P]."""
        recurrent, bias = ops.cast(self.recurrent, "float32"), ops.cast(self.bias, "float32")
        return _recur(ops.transpose(x, (1, 0, 2)), recurrent, bias)

    def initial_state(self, batch: int) -> Any:
        """State of `batch` new streams, after the start symbol: [B, P]."""
        return self.step(ops.full((batch,), self.vocabulary, "int32"), ops.zeros((batch, self.dim)))

    def step(self, label: Any, state: Any) -> Any:
        """State after one more label: [B] int32, [B, P] -> [B, P]."""
        x = ops.matmul(ops.take(self.embedding, label, axis=0), self.kernel) + self.input_bias
        return _gru(x, state, self.recurrent, self.bias)


@fused
def _recur(x: Any, recurrent: Any, bias: Any) -> Any:
    """x [U + 1, B, 3P] -> states [B, U + 1, P]; unrolled, so that its gradient compiles on every backend."""
    h, states = ops.zeros((x.shape[1], recurrent.shape[0]), "float32"), []
    for u in range(x.shape[0]):
        h = _gru(x[u], h, recurrent, bias)
        states.append(h)
    return ops.stack(states, axis=1)
