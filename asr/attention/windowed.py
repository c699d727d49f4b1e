"""Windowed self-attention: a chunk attends to itself and to a window of frames before it.

Letters: B batch, S encoder frames, C frames per chunk, L frames of left window, D width, H heads.
"""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.attention.interface import Attention, with_state
from asr.attention.masking import MASKED, per_query
from asr.attention.rotary import rotate, rotation
from asr.fused import fused


def chunk_mask(frames: int, chunk: Any, left: int, lengths: Any) -> Any:
    """Which keys each query sees, when attention is computed over whole recordings.

    Args:
        frames: S.
        chunk: C, a Python int or an int32 scalar; S or more means full context.
        left: L, frames before the chunk's first that its queries see.
        lengths: [B] int32, valid frames of each recording.

    Returns:
        [B, S, S] bool, true where query (axis 1) sees key (axis 2).
    """
    index = ops.arange(frames, dtype="int32")
    start = (index // chunk) * chunk  # first frame of each query's chunk
    seen = (index[None, :] < (start + chunk)[:, None]) & (index[None, :] >= (start - left)[:, None])
    return seen[None] & (index[None, None, :] < lengths[:, None, None])


@fused
def _rotated(x: Any, cosine: Any, sine: Any) -> Any:
    """[B, S, H, d] -> rotated [B, H, S, d]."""
    x32 = ops.transpose(ops.cast(x, "float32"), (0, 2, 1, 3))
    return ops.cast(rotate(x32, cosine, sine), x.dtype)


@fused
def _weights(scores: Any, mask: Any, scale: Any) -> Any:
    """Masked softmax of [B, H, Q, K] scores; mask [B, Q, K]."""
    masked = ops.where(mask[:, None], ops.cast(scores, "float32") * scale, MASKED)
    return ops.cast(ops.softmax(masked, axis=-1), scores.dtype)


@keras.saving.register_keras_serializable(package="earshot")
class WindowedSelfAttention(Attention):
    """Multi-head self-attention over a chunk and a left window, with rotary positions.

    Vaswani et al. 2017 (1706.03762), section 3.2, restricted to a window; positions by Su et al. 2021. Whole
    recordings go through `call` with a `chunk_mask`; a stream goes through `step`, whose cache holds unrotated keys,
    so that positions are relative to the window and never grow with the stream.

    Args:
        dim: D, a multiple of `heads`.
        heads: H.
        left: L, frames of left window.
    """

    def __init__(self, dim: int, heads: int, left: int, **kwargs: Any) -> None:
        """Checks the head size; weights are made in `build`."""
        super().__init__(**kwargs)
        if dim % (2 * heads):
            raise ValueError(f"expected a width that is a multiple of 2 x heads = {2 * heads}, got {dim}")
        self.dim, self.heads, self.left = dim, heads, left
        self.head_dim = dim // heads

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Makes the projections for inputs [B, S, D]."""
        self.qkv = self.add_weight(shape=(query_shape[-1], 3 * self.dim), name="qkv")
        self.output_kernel = self.add_weight(shape=(self.dim, self.dim), name="output")

    def _project(self, x: Any) -> list[Any]:
        qkv = ops.matmul(x, self.qkv)  # [B, S, 3D]
        shape = (-1, x.shape[1], self.heads, self.head_dim)
        return [ops.reshape(part, shape) for part in ops.split(qkv, 3, axis=-1)]

    def _attend(self, query: Any, key: Any, value: Any, mask: Any, rope: tuple[Any, Any]) -> tuple[Any, Any]:
        """Query [B, Q, H, d]; key, value [B, K, H, d] -> context [B, Q, D], weights [B, H, Q, K]."""
        cosine, sine = rope
        count = query.shape[1]
        query = _rotated(query, cosine[-count:], sine[-count:])
        key = _rotated(key, cosine, sine)
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        mixed, weights = self._weigh(scores, mask)
        context = ops.matmul(mixed, ops.transpose(value, (0, 2, 1, 3)))  # [B, H, Q, d]
        context = ops.reshape(ops.transpose(context, (0, 2, 1, 3)), (-1, count, self.dim))
        return ops.matmul(context, self.output_kernel), weights

    def _weigh(self, scores: Any, mask: Any) -> tuple[Any, Any]:
        """What values are multiplied with, and what is shown, both like scores [B, H, Q, K]; mask [B, Q, K]."""
        weights = _weights(scores, mask, ops.convert_to_tensor(self.head_dim**-0.5, "float32"))
        return weights, weights

    def call(
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        mask: Any = None,
        state: Any = None,
        training: bool = False,
    ) -> tuple[Any, ...]:
        """Attends over whole recordings; streams go through `step`.

        Args:
            query: [B, S, D], S known.
            value: None, or the query again: it attends to itself.
            key: None.
            mask: [B, S, S] bool, from `chunk_mask`; or [B, S], frames that exist; None: all.
            state: Not used.
            training: Not used.

        Returns:
            [B, S, D] and weights [B, H, S, S].

        Raises:
            ValueError: for another key or value.
        """
        if key is not None or (value is not None and value.shape != query.shape):
            raise ValueError("windowed self-attention: expected one sequence as query and value, got others too")
        mask = ops.ones_like(query[..., 0], "bool") if mask is None else mask
        rope = rotation(0, query.shape[1], self.head_dim)
        asked, keys, values = self._project(query)
        context, weights = self._attend(asked, keys, values, per_query(mask, query), rope)
        return with_state(context, weights, state, state)

    def at(self, x: Any, mask: Any, places: NDArray[np.int32]) -> tuple[Any, Any]:
        """As `call`, of frames that do not stand in a row.

        Args:
            x: [B, P, D].
            mask: [B, P, P] bool.
            places: [P] position of each.

        Returns:
            [B, P, D] and weights [B, H, P, P].
        """
        rope = rotation(0, int(places.max()) + 1, self.head_dim)
        cosine, sine = (ops.take(table, places, axis=0) for table in rope)
        query, key, value = self._project(x)
        return self._attend(query, key, value, mask, (cosine, sine))

    def initial_state(self, batch: int) -> dict[str, Any]:
        """An empty cache: keys and values [B, L, D]."""
        shape = (batch, self.left, self.dim)
        return {"keys": ops.zeros(shape, self.compute_dtype), "values": ops.zeros(shape, self.compute_dtype)}

    def step(
        self, x: Any, state: dict[str, Any], seen: Any, valid: Any = None, ahead: int = 0
    ) -> tuple[Any, dict[str, Any]]:
        """Attends over the next chunk of each stream.

        Args:
            x: [B, C, D].
            state: From `initial_state` or the step before.
            seen: [B] int32, frames this stream had before the chunk (values above L count as L).
            valid: [B] int32, frames of the chunk that exist (a stream's last chunk may hold fewer); None: all C.
            ahead: Frames at the end of `x` that are look-ahead: they come again with the next chunk.

        Returns:
            [B, C, D] and the next state.
        """
        chunk, flat = x.shape[1], (-1, x.shape[1], self.dim)
        query, key, value = self._project(x)
        keys = ops.concatenate([state["keys"], ops.reshape(key, flat)], axis=1)  # [B, L + C, D]
        values = ops.concatenate([state["values"], ops.reshape(value, flat)], axis=1)
        span = self.left + chunk
        age = self.left - ops.arange(span, dtype="int32")  # frames before the chunk's first; <= 0 in the chunk
        exists = age[None, :] <= seen[:, None]
        if valid is not None:
            exists = ops.logical_and(exists, age[None, :] > -valid[:, None])
        mask = ops.broadcast_to(exists[:, None, :], (x.shape[0], chunk, span))
        heads = (-1, span, self.heads, self.head_dim)
        rope = rotation(0, span, self.head_dim)
        output, _ = self._attend(query, ops.reshape(keys, heads), ops.reshape(values, heads), mask, rope)
        kept = slice(chunk - ahead, span - ahead)
        return output, {"keys": keys[:, kept], "values": values[:, kept]}

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"dim": self.dim, "heads": self.heads, "left": self.left}
