"""Windowed self-attention: the mask by its formula, attention query by query, streams against whole recordings."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from asr.attention.rotary import BASE
from asr.attention.windowed import WindowedSelfAttention, chunk_mask

DIM, HEADS, LEFT = 16, 2, 6


def layer(seed: int, randomised: Callable[[Any, int], None]) -> WindowedSelfAttention:
    made = WindowedSelfAttention(DIM, HEADS, LEFT)
    made.build((None, None, DIM))
    randomised(made, seed)
    return made


def inputs(batch: int, frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (batch, frames, DIM)).astype(np.float32)


def stream(attention: WindowedSelfAttention, x: np.ndarray, chunk: int) -> tuple[np.ndarray, Any]:
    state, parts = attention.initial_state(len(x)), []
    for start in range(0, x.shape[1], chunk):
        seen = ops.full((len(x),), min(start, LEFT), "int32")
        y, state = attention.step(ops.convert_to_tensor(x[:, start : start + chunk]), state, seen)
        parts.append(np.asarray(y))
    return np.concatenate(parts, axis=1), state


def whole(attention: WindowedSelfAttention, x: np.ndarray, chunk: int, lengths: list[int] | None = None) -> np.ndarray:
    lengths = lengths or [x.shape[1]] * len(x)
    mask = chunk_mask(x.shape[1], chunk, LEFT, ops.convert_to_tensor(lengths, "int32"))
    return np.asarray(attention(ops.convert_to_tensor(x), mask=mask)[0])


@given(st.integers(1, 20), st.integers(1, 24), st.integers(0, 12), st.lists(st.integers(0, 20), min_size=1, max_size=3))
def test_mask_is_its_formula(frames: int, chunk: int, left: int, lengths: list[int]) -> None:
    mask = np.asarray(chunk_mask(frames, chunk, left, ops.convert_to_tensor(lengths, "int32")))
    assert mask.shape == (len(lengths), frames, frames)
    for b, length in enumerate(lengths):
        for query in range(frames):
            first = query - query % chunk
            sees = [first - left <= key < first + chunk and key < length for key in range(frames)]
            assert mask[b, query].tolist() == sees


def test_mask_takes_the_chunk_as_a_tensor() -> None:
    lengths = ops.convert_to_tensor([9, 12], "int32")
    of_tensor = chunk_mask(12, ops.convert_to_tensor(4, "int32"), 3, lengths)
    np.testing.assert_array_equal(np.asarray(of_tensor), np.asarray(chunk_mask(12, 4, 3, lengths)))


@pytest.mark.parametrize("chunk", [1, 3, 4, 12])
def test_equals_attention_query_by_query(chunk: int, randomised: Callable) -> None:
    attention, x, head_dim = layer(0, randomised), inputs(1, 12), DIM // HEADS
    query, key, value = np.split(x[0] @ np.asarray(attention.qkv), 3, axis=-1)
    frequency = BASE ** (-np.arange(0, head_dim, 2) / head_dim)
    expected = np.zeros((12, DIM))
    for i in range(12):
        first = i - i % chunk
        keys = list(range(max(0, first - LEFT), min(12, first + chunk)))
        for h in range(HEADS):
            part = slice(h * head_dim, (h + 1) * head_dim)
            q, k = ([r[: head_dim // 2] + 1j * r[head_dim // 2 :] for r in m[:, part]] for m in (query, key))
            scores = [np.sum(q[i] * np.conj(k[j]) * np.exp(1j * (i - j) * frequency)).real for j in keys]
            weights = np.exp(np.array(scores) / np.sqrt(head_dim))
            expected[i, part] = (weights / weights.sum()) @ value[keys, part]
    np.testing.assert_allclose(whole(attention, x, chunk)[0], expected @ np.asarray(attention.output_kernel), atol=1e-4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("chunk", [1, 2, 4, 8, 16])
def test_streaming_equals_whole(chunk: int, seed: int, randomised: Callable) -> None:
    attention, x = layer(seed, randomised), inputs(2, 32, seed)
    np.testing.assert_allclose(stream(attention, x, chunk)[0], whole(attention, x, chunk), atol=1e-4)


def test_frames_past_the_window_are_forgotten(randomised: Callable) -> None:
    attention, x = layer(0, randomised), inputs(1, 20)
    changed = x.copy()
    changed[:, : 16 - LEFT] += 5.0
    np.testing.assert_array_equal(stream(attention, changed, 4)[0][:, 16:], stream(attention, x, 4)[0][:, 16:])
    changed[:, 16 - LEFT] += 5.0
    assert np.abs(stream(attention, changed, 4)[0] - stream(attention, x, 4)[0])[:, 16:].max() > 1e-4


def test_future_chunks_change_nothing_before(randomised: Callable) -> None:
    attention, x = layer(0, randomised), inputs(1, 16)
    changed = x.copy()
    changed[:, 8:] = 100.0
    np.testing.assert_array_equal(whole(attention, changed, 4)[:, :8], whole(attention, x, 4)[:, :8])
    changed = x.copy()
    changed[:, 7] = 100.0  # the same chunk is seen to its end
    assert np.abs(whole(attention, changed, 4) - whole(attention, x, 4))[:, 4].max() > 1e-4


def test_frames_past_the_length_change_nothing(randomised: Callable) -> None:
    attention, x = layer(0, randomised), inputs(2, 12)
    changed = x.copy()
    changed[0, 5:] = 100.0
    before, after = (whole(attention, y, 8, [5, 12]) for y in (x, changed))
    np.testing.assert_array_equal(after[0, :5], before[0, :5])
    np.testing.assert_array_equal(after[1], before[1])


@pytest.mark.parametrize("valid", [1, 3, 4])
def test_step_does_not_see_frames_that_do_not_exist(valid: int, randomised: Callable) -> None:
    attention, x = layer(0, randomised), inputs(1, 8)
    _, state = stream(attention, x[:, :4], 4)
    seen = ops.full((1,), 4, "int32")
    full, _ = attention.step(ops.convert_to_tensor(x[:, 4 : 4 + valid]), state, seen)
    filled = x[:, 4:].copy()
    filled[:, valid:] = 100.0
    cut, _ = attention.step(ops.convert_to_tensor(filled), state, seen, ops.full((1,), valid, "int32"))
    np.testing.assert_allclose(np.asarray(cut)[:, :valid], np.asarray(full), atol=1e-5)


def test_a_row_without_keys_stays_finite(randomised: Callable) -> None:
    assert np.isfinite(whole(layer(0, randomised), inputs(1, 4), 2, [0])).all()


def test_new_streams_do_not_see_the_empty_cache(randomised: Callable) -> None:
    """Whatever lies in the cache's unused places: a slot that another stream left, for one."""
    attention, x = layer(0, randomised), ops.convert_to_tensor(inputs(2, 4))
    seen = ops.convert_to_tensor([0, 2], "int32")
    cache = np.random.default_rng(1).normal(size=(2, LEFT, DIM)).astype(np.float32)
    other = cache.copy()
    other[0], other[1, :-2] = 50.0, 50.0
    results = [
        attention.step(x, {"keys": ops.convert_to_tensor(c), "values": ops.convert_to_tensor(c)}, seen)[0]
        for c in (cache, other)
    ]
    np.testing.assert_array_equal(np.asarray(results[0]), np.asarray(results[1]))


def test_cache_keeps_its_size(randomised: Callable) -> None:
    attention = layer(0, randomised)
    for chunk in (1, 4, 16):
        _, state = stream(attention, inputs(2, 32), chunk)
        assert {name: tuple(x.shape) for name, x in state.items()} == dict.fromkeys(("keys", "values"), (2, LEFT, DIM))


@pytest.mark.parametrize(("dim", "heads"), [(16, 3), (6, 2), (2, 2)])
def test_width_has_to_fit_the_heads(dim: int, heads: int) -> None:
    with pytest.raises(ValueError, match=f"expected a width that is a multiple of 2 x heads = {2 * heads}, got {dim}"):
        WindowedSelfAttention(dim, heads, LEFT)
