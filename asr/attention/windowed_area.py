"""Windowed self-attention over areas: the encoder's attention, with spans of frames as its memory."""

from typing import Any

import keras
from keras import ops

from asr.attention.area import mixture
from asr.attention.windowed import WindowedSelfAttention


@keras.saving.register_keras_serializable(package="earshot")
class WindowedAreaAttention(WindowedSelfAttention):
    """`WindowedSelfAttention` whose memory items are all spans of 1 to A frames inside the window (Li et al. 2018).

    Key: the mean of the span's rotated keys; value: the sum of its values (1810.10126, section 3.2). No weights of its
    own. Weights returned are each frame's share.

    Args:
        dim: D, a multiple of 2 · `heads`.
        heads: H.
        left: L, frames of left window.
        span: A, frames of the largest span.
    """

    def __init__(self, dim: int, heads: int, left: int, span: int, **kwargs: Any) -> None:
        super().__init__(dim, heads, left, **kwargs)
        if span < 1:
            raise ValueError(f"area: expected spans of at least 1 frame, got {span}")
        self.span = span

    def _weigh(self, scores: Any, mask: Any) -> tuple[Any, Any]:
        energies = ops.cast(scores, "float32") * self.head_dim**-0.5
        mixed, shares = mixture(self.span)(energies, mask[:, None])
        return ops.cast(mixed, scores.dtype), ops.cast(shares, scores.dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"span": self.span}
