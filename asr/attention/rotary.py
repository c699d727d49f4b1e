"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864, equation 34)."""

from typing import Any

from keras import ops

BASE = 10_000.0  # the longest wavelength, in frames, as in the paper


def rotation(first: int, count: int, head_dim: int) -> tuple[Any, Any]:
    """Cosines and sines for positions first … first + count - 1: two tensors [count, head_dim / 2]."""
    position = ops.arange(first, first + count, dtype="float32")
    frequency = BASE ** (-ops.arange(0, head_dim, 2, dtype="float32") / head_dim)
    angle = position[:, None] * frequency[None, :]
    return ops.cos(angle), ops.sin(angle)


def rotate(x: Any, cosine: Any, sine: Any) -> Any:
    """Rotates [..., S, head_dim] by the tables of `rotation`, [S, head_dim / 2]; halves are paired."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    return ops.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)
