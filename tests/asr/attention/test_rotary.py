"""Rotary positions against complex rotation, and what they are for: scores that depend on distance only."""

import numpy as np
import pytest
from keras import ops

from asr.attention.rotary import BASE, rotate, rotation


def rotated(x: np.ndarray, first: int) -> np.ndarray:
    return np.asarray(rotate(ops.convert_to_tensor(x), *rotation(first, x.shape[-2], x.shape[-1])))


@pytest.mark.parametrize(("first", "head_dim"), [(0, 2), (0, 8), (5, 8), (100, 64)])
def test_equals_complex_rotation(first: int, head_dim: int) -> None:
    x = np.random.default_rng(0).normal(size=(3, 2, 7, head_dim)).astype(np.float32)
    half = head_dim // 2
    angle = np.outer(first + np.arange(7), BASE ** (-np.arange(half) * 2 / head_dim))
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)
    np.testing.assert_allclose(rotated(x, first), np.concatenate([turned.real, turned.imag], -1), atol=1e-4)


def test_position_zero_turns_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(1, 8)).astype(np.float32)
    np.testing.assert_array_equal(rotated(x, 0), x)


def test_lengths_stay() -> None:
    x = np.random.default_rng(1).normal(size=(5, 16)).astype(np.float32)
    np.testing.assert_allclose(np.linalg.norm(rotated(x, 3), axis=-1), np.linalg.norm(x, axis=-1), rtol=1e-5)


@pytest.mark.parametrize("shift", [1, 17, 40])
def test_scores_depend_on_the_distance_alone(shift: int) -> None:
    rng = np.random.default_rng(2)
    query, key = rng.normal(size=(2, 6, 16)).astype(np.float32)
    scores = rotated(query, 0) @ rotated(key, 0).T
    np.testing.assert_allclose(rotated(query, shift) @ rotated(key, shift).T, scores, atol=1e-4)
