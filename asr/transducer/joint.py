"""The block joint: attention from the predictor's state over a block and a window before it.

Multi-head attention inside the chunk, after CHAT (arXiv 2602.24245) and chunked AED (2309.08436), or by configuration
another mechanism (`asr.transducer.mechanisms`); end-of-block is factorised from the labels as in HAT (Variani et al.
2020, 2003.07705): sigmoid for <e>, softmax for the labels.

Letters: B batch, S encoder frames, W frames per block, N blocks, K = lookback + W frames attended to, U labels,
D encoder width, P predictor width, J joint width, H heads (1 in mechanisms without heads), V vocabulary.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from asr.attention.area import mixture
from asr.attention.blockwise import block_index
from asr.attention.masking import MASKED
from asr.config import ModelConfig
from asr.fused import fused
from asr.transducer.mechanisms import PROJECTED, block_mechanism, block_middle

MAX_BLOCK = 8  # frames: the largest block, 640 ms; longer chunks hold several blocks


@fused
def _attention(scores: Any, mask: Any) -> Any:
    """Softmax over the frames of the block: scores [B, N, H, U + 1, K], mask [B, N, K] (or 1 for B or N)."""
    masked = ops.where(mask[:, :, None, None, :], ops.cast(scores, "float32"), MASKED)
    return ops.cast(ops.softmax(masked, axis=-1), scores.dtype)


@fused
def _hidden(context: Any, query: Any) -> Any:
    """tanh(context [B, N, U + 1, J] + query [B, U + 1, J])."""
    return ops.tanh(context + query[:, None])


@fused
def _log_probs(logits: Any, bias: Any, one_hot: Any) -> tuple[Any, Any]:
    """Arcs of the lattice from logits [B, N, U + 1, 1 + V]: label and end-of-block log-probabilities [B, N, U + 1].

    `one_hot` [B, U + 1, V] picks the next label of each state.
    """
    logits = ops.cast(logits, "float32") + ops.cast(bias, "float32")
    stay, labels = logits[..., 0], logits[..., 1:]
    chosen = ops.sum(labels * one_hot[:, None], axis=-1)
    label = ops.log_sigmoid(-stay) + chosen - ops.logsumexp(labels, axis=-1)
    return label, ops.log_sigmoid(stay)


class BlockJoint(keras.layers.Layer):
    """Scores end-of-block and labels for every block and every number of labels emitted.

    Args:
        config: Sizes.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        """Keeps the sizes; weights are made in `build`."""
        super().__init__(**kwargs)
        self.heads, self.lookback, self.vocabulary = config.heads, config.lookback_frames, config.vocabulary
        self.dim, self.predictor_dim, self.joint_dim = config.dim, config.predictor_dim, config.joint_dim
        self.head_dim = self.joint_dim // self.heads
        self.attention, self.radius, self.span = config.attention, config.attention_radius, config.attention_span
        self.mechanism = block_mechanism(config)
        self.weight_heads = self.heads if self.mechanism is None else 1  # by which `attend` gives weights

    def build(self, input_shape: Any) -> None:
        """Makes the weights."""
        j = self.joint_dim
        if self.attention in PROJECTED:
            self.query = self.add_weight(shape=(self.predictor_dim, j), name="query")
        self.key_value = self.add_weight(shape=(self.dim, 2 * j), name="key_value")
        # Encoder frames carry no absolute position; a key's place relative to the block's start is learnt.
        self.place = self.add_weight(shape=(self.lookback + MAX_BLOCK, j), initializer="glorot_uniform", name="place")
        self.context = self.add_weight(shape=(j, j), name="context")
        self.state = self.add_weight(shape=(self.predictor_dim, j), name="state")
        self.hidden_bias = self.add_weight(shape=(j,), initializer="zeros", name="hidden_bias")
        self.output_kernel = self.add_weight(shape=(j, 1 + self.vocabulary), name="output")
        self.output_bias = self.add_weight(shape=(1 + self.vocabulary,), initializer="zeros", name="output_bias")
        if self.mechanism is not None:
            asked = j if self.attention in PROJECTED else self.predictor_dim
            self.mechanism.build((None, None, asked), (None, None, j))

    def frames(self, encoded: Any) -> Any:
        """Keys and values of encoder frames: [B, S, D] -> [B, S, 2J]."""
        return ops.matmul(encoded, ops.cast(self.key_value, encoded.dtype))

    def attend(self, states: Any, frames: Any, mask: Any) -> tuple[Any, Any]:
        """Attention of every state over every block.

        Args:
            states: [B, U + 1, P] predictor states.
            frames: [B, N, K, 2J] keys and values of each block's window.
            mask: [B, N, K] bool, frames that exist; B or N may be 1.

        Returns:
            Contexts [B, N, U + 1, J] and weights [B, N, H, U + 1, K].
        """
        if self.mechanism is not None:
            return self._attend_by(states, frames, mask)
        count, width = frames.shape[1], states.shape[1]
        keys, values = self.keys_values(frames)
        states = ops.cast(states, keys.dtype)
        query = ops.matmul(states, self.query) * self.head_dim**-0.5
        query = ops.transpose(ops.reshape(query, (-1, width, self.heads, self.head_dim)), (0, 2, 1, 3))
        mixed, weights = self.weigh(ops.matmul(query[:, None], keys), mask)  # [B, N, H, U + 1, K]
        context = ops.transpose(ops.matmul(mixed, values), (0, 1, 3, 2, 4))  # [B, N, U + 1, H, d]
        return ops.reshape(context, (-1, count, width, self.joint_dim)), weights

    def weigh(self, scores: Any, mask: Any) -> tuple[Any, Any]:
        """What values are multiplied with and each frame's weight: scores [B, N, H, U + 1, K] -> two like them."""
        if self.attention == "area":
            mixed, weights = mixture(self.span)(ops.cast(scores, "float32"), mask[:, :, None, None])
            return ops.cast(mixed, scores.dtype), ops.cast(weights, scores.dtype)
        weights = _attention(scores, mask)
        return weights, weights

    def _attend_by(self, states: Any, frames: Any, mask: Any) -> tuple[Any, Any]:
        """As `attend`, by the mechanism's layer; called as a function, so that all stays in the frames' dtype."""
        assert self.mechanism is not None
        keys, values = self.placed(frames)
        states = ops.cast(states, keys.dtype)
        if self.attention in PROJECTED:
            states = ops.matmul(states, self.query)
        if self.attention == "local_m":
            mask = block_middle(mask, self.lookback, self.radius)
        context, weights = self.mechanism.call(states[:, None], values, key=keys, mask=mask)  # [B, N, U + 1, J or K]
        return context, weights[:, :, None]

    def placed(self, frames: Any) -> tuple[Any, Any]:
        """Keys, their places added, and values: [B, N, K, 2J] -> two [B, N, K, J]."""
        keys, values = ops.split(frames, 2, axis=-1)
        return keys + ops.cast(self.place, keys.dtype)[: frames.shape[2]], values

    def keys_values(self, frames: Any) -> tuple[Any, Any]:
        """By head: [B, N, K, 2J] -> keys, their places added, [B, N, H, d, K], and values [B, N, H, K, d]."""
        count, span = frames.shape[1:3]
        keys, values = self.placed(frames)
        split = (-1, count, span, self.heads, self.head_dim)
        keys = ops.transpose(ops.reshape(keys, split), (0, 1, 3, 4, 2))
        return keys, ops.transpose(ops.reshape(values, split), (0, 1, 3, 2, 4))

    def logits(self, states: Any, contexts: Any) -> Any:
        """Hidden and output layer.

        Args:
            states: [B, U + 1, P] predictor states.
            contexts: [B, N, U + 1, J], from `attend`.

        Returns:
            [B, N, U + 1, 1 + V], end-of-block first, bias not added.
        """
        states = ops.cast(states, contexts.dtype)
        query = ops.matmul(states, self.state) + ops.cast(self.hidden_bias, contexts.dtype)
        return ops.matmul(_hidden(ops.matmul(contexts, self.context), query), self.output_kernel)

    def expected(self, states: Any) -> Any:
        """What the model expects without audio, its internal language model (HAT, section 3.2): the context is zero.

        Args:
            states: [B, U, P] predictor states.

        Returns:
            Log-probabilities of labels [B, U, V], float32.
        """
        silent = ops.zeros((1, 1, 1, self.joint_dim), self.state.dtype)  # bfloat16 only inside a mixed-precision call
        logits = ops.cast(self.logits(states, silent)[:, 0, :, 1:], "float32")
        return ops.log_softmax(logits + ops.cast(self.output_bias, "float32")[1:], axis=-1)

    def listen(self, state: Any, window: Any, mask: Any) -> tuple[Any, Any]:
        """Attention of each stream over its own block; arguments as `attend_stream`.

        Returns:
            Contexts [B, J] and weights [B, H, K].
        """
        contexts, weights = self.attend(state[:, None], window[:, None], mask[:, None])
        return contexts[:, 0, 0], weights[:, 0, :, 0]

    def score(self, state: Any, context: Any) -> Any:
        """Logits of each stream's next symbol: [B, P] states, [B, J] contexts -> [B, 1 + V], end-of-block first."""
        return self.logits(state[:, None], context[:, None, None])[:, 0, 0] + self.output_bias

    def attend_stream(self, state: Any, window: Any, mask: Any) -> tuple[Any, Any]:
        """Scores of the next symbol of each stream, in its own block.

        Args:
            state: [B, P] predictor states.
            window: [B, K, 2J] keys and values of the block and the window before it.
            mask: [B, K] bool, frames that exist.

        Returns:
            Logits [B, 1 + V], end-of-block first, and weights [B, H, K].
        """
        context, weights = self.listen(state, window, mask)
        return self.score(state, context), weights

    def call(self, encoded: Any, states: Any, labels: Any, block: int) -> tuple[Any, Any]:
        """Arcs of the lattice.

        Args:
            encoded: [B, S, D], S a multiple of `block`.
            states: [B, U + 1, P] predictor states.
            labels: [B, U] int32.
            block: W, at most `MAX_BLOCK`.

        Returns:
            Log-probabilities of labels and of end-of-block, [B, N, U + 1] float32 each.
        """
        contexts, _ = self.attend(states, *self.blocks(self.frames(encoded), block))
        return self.arcs(states, contexts, ops.pad(labels, ((0, 0), (0, 1))))

    def arcs(self, states: Any, contexts: Any, following: Any) -> tuple[Any, Any]:
        """Log-probabilities of the next label and of end-of-block.

        Args:
            states: [B, U, P] predictor states.
            contexts: [B, N, U, J], from `attend`.
            following: [B, U] int32, the label after each state.

        Returns:
            [B, N, U] float32 each.
        """
        one_hot = ops.one_hot(following, self.vocabulary, dtype="float32")
        return _log_probs(self.logits(states, contexts), ops.cast(self.output_bias, "float32"), one_hot)

    def blocks(self, frames: Any, block: int) -> tuple[Any, Any]:
        """Windows of every block: [B, S, 2J] -> [B, N, K, 2J] and a mask [1, N, K] of the frames that exist."""
        index = block_index(frames.shape[1], block, self.lookback)  # [N, K]
        windows = ops.take(frames, np.maximum(index, 0).reshape(-1), axis=1)
        return ops.reshape(windows, (-1, *index.shape, frames.shape[2])), ops.convert_to_tensor(index >= 0)[None]
