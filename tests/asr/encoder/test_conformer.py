"""One conformer layer: streams against whole recordings, causality, and what training switches on."""

from collections.abc import Callable

import numpy as np
import pytest
from keras import ops

from asr.attention.windowed import chunk_mask
from asr.encoder.conformer import ConformerLayer

DIM, LEFT, KERNEL = 16, 6, 5


def layer(seed: int, randomised: Callable, **rates: float) -> ConformerLayer:
    made = ConformerLayer(DIM, 2, 2, KERNEL, LEFT, **{"dropout": 0.0, "drop_path": 0.0, **rates})
    made.build((None, None, DIM))
    randomised(made, seed)
    return made


def inputs(batch: int, frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(batch, frames, DIM)).astype(np.float32)


def whole(conformer: ConformerLayer, x: np.ndarray, chunk: int, training: bool = False) -> np.ndarray:
    mask = chunk_mask(x.shape[1], chunk, LEFT, ops.full((len(x),), x.shape[1], "int32"))
    return np.asarray(conformer(ops.convert_to_tensor(x), mask, training=training))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("chunk", [1, 2, 4, 8, 16])
def test_streaming_equals_whole(chunk: int, seed: int, randomised: Callable) -> None:
    """Chunks shorter than the convolution's memory among them."""
    conformer, x, parts = layer(seed, randomised), inputs(2, 16, seed), []
    state = conformer.initial_state(2)
    for start in range(0, 16, chunk):
        seen = ops.full((2,), min(start, LEFT), "int32")
        y, state = conformer.step(ops.convert_to_tensor(x[:, start : start + chunk]), state, seen)
        parts.append(np.asarray(y))
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole(conformer, x, chunk), atol=1e-4)
    assert tuple(state["convolution"].shape) == (2, KERNEL - 1, DIM)


def test_future_chunks_change_nothing_before(randomised: Callable) -> None:
    conformer, x = layer(0, randomised), inputs(1, 16)
    changed = x.copy()
    changed[:, 8:] = 100.0
    np.testing.assert_array_equal(whole(conformer, changed, 4)[:, :8], whole(conformer, x, 4)[:, :8])


def test_frames_that_do_not_exist_change_nothing(randomised: Callable) -> None:
    conformer, x = layer(0, randomised), inputs(1, 4)
    changed = x.copy()
    changed[:, 3:] = 100.0
    state, seen, valid = conformer.initial_state(1), ops.zeros((1,), "int32"), ops.full((1,), 3, "int32")
    results = [conformer.step(ops.convert_to_tensor(v), state, seen, valid)[0] for v in (x, changed)]
    np.testing.assert_array_equal(*(np.asarray(y)[:, :3] for y in results))


def test_rates_act_in_training_only(randomised: Callable) -> None:
    plain, x = whole(layer(0, randomised), inputs(4, 8), 4), inputs(4, 8)
    for rates in ({"dropout": 0.5}, {"drop_path": 0.5}):
        conformer = layer(0, randomised, **rates)
        np.testing.assert_array_equal(whole(conformer, x, 4), plain)
        assert np.abs(whole(conformer, x, 4, training=True) - plain).max() > 1e-3


def test_a_layer_that_drops_nothing_trains_as_it_recognises(randomised: Callable) -> None:
    conformer, x = layer(0, randomised), inputs(2, 8)
    np.testing.assert_array_equal(whole(conformer, x, 4, training=True), whole(conformer, x, 4))


def test_skipped_branches_keep_their_mean(randomised: Callable) -> None:
    """A branch kept with probability 0.75 weighs 1 / 0.75 when it is kept, 0 when not, by recording."""
    conformer = layer(0, randomised, drop_path=0.25)
    weights = np.asarray(conformer._branch_weight(ops.zeros((4000, 1, 1)), 0.5, training=True))
    assert weights.shape == (4000, 1, 1)
    np.testing.assert_allclose(np.unique(weights), [0.0, 0.5 / 0.75], rtol=1e-6)
    assert abs(weights.mean() - 0.5) < 0.03


def test_dropped_channels_keep_their_mean(randomised: Callable) -> None:
    """Channel by channel and recording by recording, the same at all times."""
    conformer = layer(0, randomised, dropout=0.25)
    weights = np.asarray(conformer._branch_weight(ops.zeros((400, 9, DIM)), 0.5, training=True))
    assert weights.shape == (400, 1, DIM)
    np.testing.assert_allclose(np.unique(weights), [0.0, 0.5 / 0.75], rtol=1e-6)
    assert abs(weights.mean() - 0.5) < 0.03
    assert np.ptp(weights, axis=0).min() > 0 and np.ptp(weights, axis=2).max() > 0  # neither axis shares a draw
