"""Layer normalisation against its definition; residual sums with scalar and per-recording weights."""

import numpy as np
import pytest
from keras import ops

from asr.encoder.normalisation import add_and_norm, layer_norm


def case() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(1.0, 2.0, shape).astype(np.float32) for shape in ((2, 5, 8), (2, 5, 8), (8,), (8,), (8,))]


def expected_norm(x: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * scale + offset


def test_layer_norm_is_its_definition() -> None:
    x, _, _, scale, offset = case()
    np.testing.assert_allclose(np.asarray(layer_norm(x, scale, offset)), expected_norm(x, scale, offset), atol=1e-5)


@pytest.mark.parametrize("weight", [0.5, [[[2.0]], [[0.0]]]])
def test_residual_sum_and_its_norm(weight: object) -> None:
    x, branch, bias, scale, offset = case()
    factor = np.asarray(weight, np.float32)
    total, normed = add_and_norm(*(ops.convert_to_tensor(v) for v in (x, branch, bias, factor, scale, offset)))
    np.testing.assert_allclose(np.asarray(total), x + factor * (branch + bias), atol=1e-5)
    np.testing.assert_allclose(np.asarray(normed), expected_norm(np.asarray(total), scale, offset), atol=1e-5)


def test_half_precision_is_normalised_in_single() -> None:
    x, _, _, scale, offset = case()
    half = ops.cast(x * 100.0, "bfloat16")
    result = layer_norm(half, scale, offset)
    assert result.dtype == half.dtype
    expected = expected_norm(np.asarray(ops.cast(half, "float32")), scale, offset)
    np.testing.assert_allclose(np.asarray(ops.cast(result, "float32")), expected, atol=2e-2, rtol=1e-2)
