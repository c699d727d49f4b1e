"""A recurrent language model over the transducer's wordpieces, one step at a time or over whole rows of text.

Letters: B rows, U labels, N hypotheses, D width of embedding and state, H width before the softmax, V wordpieces.
"""

from typing import Any

import keras
from keras import ops

from asr.language.config import LanguageConfig
from asr.transducer.gru import gru_sequence, gru_step


class RecurrentLanguageModel(keras.layers.Layer):
    """Embedding, one GRU, a narrower tanh layer and the softmax. Label V is the start of a segment.

    Args:
        config: Sizes.
    """

    def __init__(self, config: LanguageConfig, **kwargs: Any) -> None:
        """Makes the weights."""
        super().__init__(name="language", **kwargs)
        self.config = config
        v, d, h = config.vocabulary, config.dim, config.hidden
        self.embedding = self.add_weight(shape=(v + 1, d), initializer="glorot_uniform", name="embedding")
        self.kernel = self.add_weight(shape=(d, 3 * d), initializer="glorot_uniform", name="kernel")
        self.recurrent = self.add_weight(shape=(d, 3 * d), initializer="orthogonal", name="recurrent")
        self.input_bias = self.add_weight(shape=(3 * d,), initializer="zeros", name="input_bias")
        self.bias = self.add_weight(shape=(3 * d,), initializer="zeros", name="bias")
        self.hidden = self.add_weight(shape=(d, h), initializer="glorot_uniform", name="hidden")
        self.hidden_bias = self.add_weight(shape=(h,), initializer="zeros", name="hidden_bias")
        self.output_kernel = self.add_weight(shape=(h, v), initializer="glorot_uniform", name="output")
        self.output_bias = self.add_weight(shape=(v,), initializer="zeros", name="output_bias")
        self.built = True

    def call(self, inputs: Any) -> Any:
        """Logits of the label after each input, from a zero state: [B, U] int32 -> [B, U, V] float32."""
        x = ops.take(self.embedding, ops.transpose(inputs), axis=0)  # [U, B, D]
        x = ops.cast(ops.matmul(x, self.kernel), "float32") + ops.cast(self.input_bias, "float32")
        states = gru_sequence(x, ops.cast(self.recurrent, "float32"), ops.cast(self.bias, "float32"))
        return ops.transpose(ops.cast(self._logits(ops.cast(states, self.compute_dtype)), "float32"), (1, 0, 2))

    @property
    def identity(self) -> str:
        """What of it is part of a program besides its variables."""
        return f"recurrent {self.config}"

    def phrase_words(self, weight: float) -> None:
        """Nothing: it has no words, only wordpieces."""

    def initial_state(self, batch: int) -> dict[str, Any]:
        """State of `batch` new segments: "hidden" [batch, D], and "log_probs" [batch, V] of the first label."""
        start = ops.full((batch,), self.config.vocabulary, "int32")
        return self._state(start, ops.zeros((batch, self.config.dim)))

    def log_probs(self, state: dict[str, Any]) -> Any:
        """Of every next label, [N, V]: kept in the state, so that a hypothesis that waits costs nothing."""
        return state["log_probs"]

    def step(self, label: Any, state: dict[str, Any]) -> dict[str, Any]:
        """State after a label: [N] int32, state [N, …]."""
        return self._state(label, state["hidden"])

    def _state(self, label: Any, hidden: Any) -> dict[str, Any]:
        x = ops.matmul(ops.take(self.embedding, label, axis=0), self.kernel) + self.input_bias
        hidden = gru_step(x, hidden, self.recurrent, self.bias)
        return {"hidden": hidden, "log_probs": ops.log_softmax(self._logits(hidden), axis=-1)}

    def _logits(self, states: Any) -> Any:
        """[…, D] -> […, V]."""
        hidden = ops.tanh(ops.matmul(states, self.hidden) + self.hidden_bias)
        return ops.matmul(hidden, self.output_kernel) + self.output_bias
