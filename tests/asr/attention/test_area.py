"""Area attention: shares of items, the short way by energies, windows over areas in streams."""

from collections.abc import Callable

import numpy as np
import pytest
from keras import ops

from asr.attention.area import Area, mixture
from asr.attention.area_2d import Area2D
from asr.attention.dot import Dot
from asr.attention.windowed import chunk_mask
from asr.attention.windowed_area import WindowedAreaAttention


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("span", [1, 2, 3, 8])
def test_the_short_way_is_the_layer(span: int) -> None:
    """Means of energies for energies of means; sums of items for sums of areas."""
    query, value = drawn(2, 3, 4), drawn(2, 6, 4, seed=1)
    mask = np.arange(6) < np.array([[6], [4]])
    layer = Area(span, score=Dot())
    context, weights = layer(query, value, mask=mask)
    energies = ops.einsum("bud,bsd->bus", query, value)
    mixed, shares = mixture(span)(energies, ops.convert_to_tensor(mask[:, None]))
    np.testing.assert_allclose(np.asarray(ops.matmul(mixed, value)), np.asarray(context), atol=1e-5)
    np.testing.assert_allclose(np.asarray(shares), np.asarray(layer.item_shares(weights, 6)), atol=1e-6)
    np.testing.assert_allclose(np.asarray(shares).sum(-1), 1.0, atol=1e-6)


def test_areas_of_one_item_are_plain_attention() -> None:
    query, value = drawn(2, 3, 4), drawn(2, 6, 4, seed=1)
    for layer in (Area(1, score=Dot()), Area2D(3, 1, 1, score=Dot())):
        for x, y in zip(layer(query, value), Dot()(query, value), strict=True):
            np.testing.assert_allclose(np.asarray(x), np.asarray(y), atol=1e-6)


def test_a_rectangle_s_weight_is_divided_among_its_cells() -> None:
    layer = Area2D(3, 2, 2)
    layer(drawn(1, 1, 4), drawn(1, 6, 4))
    count = 6 + 4 + 3 + 2  # of 1 x 1, 1 x 2, 2 x 1 and 2 x 2 in two rows of three
    weights = np.zeros((1, 1, count), np.float32)
    weights[..., -1] = 1.0  # the second square: columns 1 and 2
    shares = np.asarray(layer.item_shares(ops.convert_to_tensor(weights), 6))
    np.testing.assert_allclose(shares.reshape(2, 3), [[0, 0.25, 0.25]] * 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Area(0), "expected spans of at least 1 item, got 0"),
        (lambda: WindowedAreaAttention(8, 2, 4, 0), "expected spans of at least 1 frame, got 0"),
        (lambda: Area2D(3, 2, 4), "expected rectangles of 1 x 1 to any height x 3, got 2 x 4"),
        (lambda: Area2D(3, 0, 2), "expected rectangles of 1 x 1 to any height x 3, got 0 x 2"),
    ],
)
def test_sizes_are_checked(call: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("chunk", [1, 4, 8])
def test_windows_over_areas_stream(chunk: int, randomised: Callable) -> None:
    attention, x = WindowedAreaAttention(16, 2, 6, 3), drawn(2, 16, 16)
    attention.build((None, None, 16))
    randomised(attention, 0)
    mask = chunk_mask(16, chunk, 6, ops.full((2,), 16, "int32"))
    whole, state = np.asarray(attention(x, mask=mask)[0]), attention.initial_state(2)
    for start in range(0, 16, chunk):
        seen = ops.full((2,), min(start, 6), "int32")
        y, state = attention.step(ops.convert_to_tensor(x[:, start : start + chunk]), state, seen)
        np.testing.assert_allclose(np.asarray(y), whole[:, start : start + chunk], atol=1e-4)


def test_areas_do_not_reach_out_of_the_window(randomised: Callable) -> None:
    attention, x = WindowedAreaAttention(16, 2, 4, 3), drawn(1, 16, 16)
    attention.build((None, None, 16))
    randomised(attention, 0)
    mask = chunk_mask(16, 4, 4, ops.full((1,), 16, "int32"))
    changed = x.copy()
    changed[:, :4], changed[:, 12:] = 9.0, 9.0
    before, after = (np.asarray(attention(y, mask=mask)[0]) for y in (x, changed))
    np.testing.assert_array_equal(after[:, 8:12], before[:, 8:12])
    assert np.abs(after - before)[:, 4:8].max() > 1e-3
