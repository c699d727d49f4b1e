"""Mechanisms with a state: queries, or blocks, one after the other give what they give together."""

from typing import Any

import numpy as np
import pytest
from keras import ops

from asr.attention.blockwise import BlockwiseOnline, block_index
from asr.attention.general import General
from asr.attention.local_m import LocalMonotonic
from asr.attention.mocha import MoChA
from asr.attention.monotonic import Monotonic

QUERIES, ITEMS, WIDTH = 5, 8, 4


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.0, 1.5, shape).astype(np.float32)


WALKS = {
    "local_m": lambda: LocalMonotonic(2, 1.5),
    "monotonic": lambda: Monotonic(bias=0.0),
    "monotonic_expected": lambda: Monotonic(bias=0.0, hard=False),
    "monotonic_restart": lambda: Monotonic(bias=0.0, restart=True),
    "mocha": lambda: MoChA(3, bias=0.0),
}


@pytest.mark.parametrize("name", WALKS)
def test_query_after_query_equals_all_at_once(name: str) -> None:
    layer, queries, value = WALKS[name](), drawn(2, QUERIES, 6), drawn(2, ITEMS, WIDTH, seed=1)
    mask = ops.convert_to_tensor(np.arange(ITEMS) < np.array([[ITEMS], [6]]))
    context, weights = layer(queries, value, mask=mask)
    state = layer.initial_state(2) if name == "local_m" else layer.initial_state(2, ITEMS)
    for u in range(QUERIES):
        one, weight, state = layer(queries[:, u : u + 1], value, mask=mask, state=state)
        np.testing.assert_allclose(np.asarray(one)[:, 0], np.asarray(context)[:, u], atol=1e-5)
        np.testing.assert_allclose(np.asarray(weight)[:, 0], np.asarray(weights)[:, u], atol=1e-5)


def test_a_selection_never_goes_back() -> None:
    for seed in range(5):
        layer = Monotonic(bias=0.0)
        weights = np.asarray(layer(drawn(3, QUERIES, 6, seed=seed), drawn(3, ITEMS, WIDTH, seed=seed + 9))[1])
        assert set(np.unique(weights)) <= {0.0, 1.0}
        for row in weights:
            places = [int(w.argmax()) for w in row if w.any()]
            assert places == sorted(places)


def test_certain_walks_are_their_own_expectation() -> None:
    """With p near 0 or 1 the expected alignment of training is the selection in use, until a walk selects none."""
    queries, value = drawn(2, QUERIES, 6), drawn(2, ITEMS, WIDTH, seed=1)
    hard, soft = Monotonic(bias=0.0), Monotonic(bias=0.0, hard=False)
    for layer in (hard, soft):
        layer(queries, value)
    for weight in hard.trainable_weights:  # by the seed: with the initial weights an energy may happen to be near 0
        weight.assign(drawn(*weight.shape, seed=2))
    hard.gain.assign(1e4)
    soft.set_weights([np.asarray(w) for w in hard.weights])
    selected, expected = (np.asarray(layer(queries, value)[1]) for layer in (hard, soft))
    for chosen, row in zip(selected, expected, strict=True):
        count = next((u for u, w in enumerate(chosen) if not w.any()), QUERIES)
        assert count > 0
        np.testing.assert_allclose(row[:count], chosen[:count], atol=0.01)


def test_noise_is_of_training_only() -> None:
    layer, queries, value = Monotonic(noise=1.0, hard=False), drawn(1, 2, 6), drawn(1, ITEMS, WIDTH, seed=1)
    quiet, loud = ([np.asarray(layer(queries, value, training=t)[1]) for _ in range(2)] for t in (False, True))
    np.testing.assert_array_equal(quiet[0], quiet[1])
    assert np.abs(loud[0] - loud[1]).max() > 1e-3


def test_a_chunk_of_one_is_monotonic_attention() -> None:
    queries, value = drawn(2, QUERIES, 6), drawn(2, ITEMS, WIDTH, seed=1)
    plain, chunked = Monotonic(hard=False), MoChA(1, hard=False)
    plain(queries, value), chunked(queries, value)
    chunked.score.set_weights([np.asarray(w) for w in plain.score.weights])
    for x, y in zip(plain(queries, value), chunked(queries, value), strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), atol=1e-6)


def test_the_walk_needs_to_know_how_many_queries_there_are() -> None:
    from keras import layers

    with pytest.raises(ValueError, match="expected a known number of queries"):
        Monotonic()(layers.Input((None, 6)), layers.Input((ITEMS, WIDTH)))


@pytest.mark.parametrize("keyed", [False, True], ids=["values", "keys"])
@pytest.mark.parametrize(("block", "lookback"), [(1, 2), (2, 3), (4, 0), (8, 8)])
def test_block_after_block_equals_all_at_once(block: int, lookback: int, keyed: bool) -> None:
    layer, query, value = BlockwiseOnline(block, lookback), drawn(2, 3, 6), drawn(2, ITEMS, WIDTH, seed=1)
    key = drawn(2, ITEMS, 5, seed=2) if keyed else None
    mask = np.arange(ITEMS) < np.array([[ITEMS], [6]])
    mask &= np.arange(ITEMS) != 1  # a hole, which later blocks look back at
    context, weights = (np.asarray(x) for x in layer(query, value, key=key, mask=mask))
    state = layer.initial_state(2, WIDTH, 5 if keyed else None)
    first = {name: tuple(x.shape) for name, x in state.items()}
    for n in range(ITEMS // block):
        part = slice(n * block, (n + 1) * block)
        keys = None if key is None else key[:, part]
        exists = ops.convert_to_tensor(mask[:, part])
        one, weight, state = layer(query, value[:, part], key=keys, mask=exists, state=state)
        rows = [0] if n * block >= 6 else [0, 1]  # the other recording has ended
        np.testing.assert_allclose(np.asarray(one)[rows], context[rows, n], atol=1e-5)
        np.testing.assert_allclose(np.asarray(weight)[rows], weights[rows, n], atol=1e-5)
    assert {name: tuple(x.shape) for name, x in state.items()} == first


def test_a_block_hears_itself_and_its_lookback() -> None:
    layer, query, value = BlockwiseOnline(2, 3), drawn(1, 3, 6), drawn(1, ITEMS, WIDTH, seed=1)
    before = np.asarray(layer(query, value)[0])
    for item in range(ITEMS):
        changed = value.copy()
        changed[:, item] += 9.0
        moved = np.abs(np.asarray(layer(query, changed)[0]) - before).max(axis=(0, 2, 3)) > 0
        assert moved.tolist() == [2 * n - 3 <= item < 2 * n + 2 for n in range(ITEMS // 2)]


def test_block_index_leaves_out_what_fills_no_block() -> None:
    assert block_index(5, 2, 1).tolist() == [[-1, 0, 1], [1, 2, 3]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BlockwiseOnline(0), "expected a block above 0 and a look-back from 0, got 0 and 0"),
        (lambda: BlockwiseOnline(2, -1), "expected a block above 0 and a look-back from 0, got 2 and -1"),
        (lambda: MoChA(0), "expected a chunk of at least 1 item, got 0"),
    ],
)
def test_sizes_are_checked(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_block_of_another_size_is_an_error() -> None:
    layer = BlockwiseOnline(2, 3, General())
    with pytest.raises(ValueError, match="expected a block of 2 memory items, got 4"):
        layer(drawn(1, 3, 6), drawn(1, 4, WIDTH), state=layer.initial_state(1, WIDTH))


def test_blocks_need_to_know_how_many_items_there_are() -> None:
    from keras import layers

    with pytest.raises(ValueError, match="expected a known number of memory items"):
        BlockwiseOnline(2)(layers.Input((3, 6)), layers.Input((None, WIDTH)))
