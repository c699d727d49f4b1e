"""The encoder: streams against whole recordings at every chunk size, and what no result may depend on."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from asr.config import ModelConfig
from asr.encoder.encoder import FRAMES_PER_STEP, Encoder
from asr.streaming.engine import compiled

CHUNKS = [2, 4, 8, 16]


def stream(encoder: Encoder, frames: np.ndarray, chunk: int) -> list[np.ndarray]:
    """Lower and upper frames, chunk by chunk."""
    unit, state, parts = chunk * FRAMES_PER_STEP, encoder.initial_state(len(frames)), []
    for start in range(0, frames.shape[1], unit):
        *levels, state = encoder.step(ops.convert_to_tensor(frames[:, start : start + unit]), state)
        parts.append([np.asarray(x) for x in levels])
    return [np.concatenate(level, axis=1) for level in zip(*parts, strict=True)]


def whole(encoder: Encoder, frames: np.ndarray, chunk: Any, lengths: list[int] | None = None) -> list[np.ndarray]:
    counts = ops.convert_to_tensor(lengths or [frames.shape[1]] * len(frames), "int32")
    return [np.asarray(x) for x in encoder(ops.convert_to_tensor(frames), counts, chunk=chunk)]


@pytest.fixture
def encoder(make_model: Callable) -> Encoder:
    return make_model(0).encoder


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("chunk", CHUNKS)
def test_streaming_equals_whole(chunk: int, seed: int, make_model: Callable, mel: Callable) -> None:
    count = 3 * max(chunk, 8)
    encoder, frames = make_model(seed).encoder, mel(2, count * FRAMES_PER_STEP, seed)
    results = stream(encoder, frames, chunk)
    assert [x.shape for x in results] == [(2, 2 * count, 32), (2, count, 32)]
    for result, expected in zip(results, whole(encoder, frames, chunk), strict=True):
        np.testing.assert_allclose(result, expected, atol=1e-4)


@pytest.mark.parametrize("chunk", CHUNKS)
def test_future_chunks_change_nothing_before(chunk: int, encoder: Encoder, mel: Callable) -> None:
    frames = mel(1, 256)
    changed = frames.copy()
    changed[:, 128:] = 10.0
    for before, after, stride in zip(
        whole(encoder, frames, chunk), whole(encoder, changed, chunk), (4, 8), strict=True
    ):
        np.testing.assert_array_equal(after[:, : 128 // stride], before[:, : 128 // stride])
        assert np.abs(after - before)[:, 128 // stride :].max() > 1e-2


@pytest.mark.parametrize("chunk", [2, 8])
def test_batch_changes_nothing(chunk: int, encoder: Encoder, mel: Callable) -> None:
    frames = mel(5, 128)
    results = whole(encoder, frames, chunk)
    for row in range(5):
        for alone, shared in zip(whole(encoder, frames[row : row + 1], chunk), results, strict=True):
            np.testing.assert_allclose(alone[0], shared[row], atol=1e-5)
    order = [3, 0, 4, 2, 1]
    for moved, shared in zip(whole(encoder, frames[order], chunk), results, strict=True):
        np.testing.assert_allclose(moved, shared[order], atol=1e-5)


@pytest.mark.parametrize("other", [1e4, np.nan])
def test_other_rows_change_nothing(other: float, encoder: Encoder, mel: Callable) -> None:
    frames = mel(3, 256)
    changed = frames.copy()
    changed[[0, 2]] = other
    np.testing.assert_array_equal(stream(encoder, changed, 8)[1][1], stream(encoder, frames, 8)[1][1])
    np.testing.assert_array_equal(whole(encoder, changed, 8)[1][1], whole(encoder, frames, 8)[1][1])


def test_slot_changes_nothing(encoder: Encoder, mel: Callable) -> None:
    """A stream among others that began at other times, in every slot, against the stream alone."""
    frames, others = mel(1, 128), mel(4, 128, seed=1)
    _, alone = stream(encoder, frames, 4)
    for slot in range(4):
        *_, state = encoder.step(ops.convert_to_tensor(others[:, :96]), encoder.initial_state(4))
        fresh = encoder.initial_state(4)
        chosen = np.arange(4) == slot
        state = keras.tree.map_structure(
            lambda new, old, chosen=chosen: ops.where(chosen.reshape((4,) + (1,) * (len(old.shape) - 1)), new, old),
            fresh,
            state,
        )
        batch, parts = others.copy(), []
        batch[slot] = frames[0]
        for start in range(0, 128, 32):
            _, y, state = encoder.step(ops.convert_to_tensor(batch[:, start : start + 32]), state)
            parts.append(np.asarray(y)[slot])
        np.testing.assert_allclose(np.concatenate(parts), alone[0], atol=1e-5)


@pytest.mark.parametrize("chunk", [*CHUNKS, 100])
def test_padding_changes_nothing(chunk: int, encoder: Encoder, mel: Callable) -> None:
    frames = mel(2, 320)
    lengths = [192, 320]
    changed = frames.copy()
    changed[0, 192:] = 10.0
    short = whole(encoder, frames[:1, :192], chunk)
    padded, filled = whole(encoder, frames, chunk, lengths), whole(encoder, changed, chunk, lengths)
    for a, b, c, stride in zip(short, padded, filled, (4, 8), strict=True):
        np.testing.assert_allclose(b[0, : 192 // stride], a[0], atol=1e-5)
        np.testing.assert_array_equal(c[0, : 192 // stride], b[0, : 192 // stride])
        np.testing.assert_array_equal(c[1], b[1])


@pytest.mark.parametrize("chunk", [8, 16])
def test_frames_of_a_chunk_that_do_not_exist_change_nothing(chunk: int, encoder: Encoder, mel: Callable) -> None:
    frames, valid = mel(2, 2 * chunk * FRAMES_PER_STEP), [chunk // 2, chunk]
    first, rest = np.split(frames, 2, axis=1)
    *_, state = encoder.step(ops.convert_to_tensor(first), encoder.initial_state(2))
    changed = rest.copy()
    changed[0, valid[0] * FRAMES_PER_STEP :] = 10.0
    counts = ops.convert_to_tensor(valid, "int32")
    a, b = (np.asarray(encoder.step(ops.convert_to_tensor(x), state, counts)[1]) for x in (rest, changed))
    np.testing.assert_array_equal(b[0, : valid[0]], a[0, : valid[0]])
    lengths = [(chunk + n) * FRAMES_PER_STEP for n in valid]
    expected = whole(encoder, frames, chunk, lengths)[1][:, chunk:]
    for row, count in enumerate(valid):
        np.testing.assert_allclose(a[row, :count], expected[row, :count], atol=1e-4)


def test_ten_thousand_frames_do_not_age_a_stream(encoder: Encoder, mel: Callable) -> None:
    """The state keeps its size, and results equal those of a stream that has just filled its windows."""
    chunk, unit = 16, 16 * FRAMES_PER_STEP
    step, state, fresh = compiled(encoder.step, "compiled"), encoder.initial_state(1), encoder.initial_state(1)
    shapes = keras.tree.map_structure(lambda x: (tuple(x.shape), x.dtype), state)
    last = mel(1, 128 * FRAMES_PER_STEP, seed=1)  # more than all layers' windows and convolutions reach back
    past = ops.convert_to_tensor(mel(1, unit, seed=2))
    for _ in range(10_000 // chunk + 1):
        *_, state = step(past, state)
    for start in range(0, last.shape[1], unit):
        frames = ops.convert_to_tensor(last[:, start : start + unit])
        _, old, state = step(frames, state)
        _, new, fresh = step(frames, fresh)
    np.testing.assert_allclose(np.asarray(old), np.asarray(new), atol=1e-5)
    assert keras.tree.map_structure(lambda x: (tuple(x.shape), x.dtype), state) == shapes
    assert np.asarray(state["seen"]).tolist() == [8]


@pytest.mark.parametrize("chunk", [2, 8, 100])
def test_chunk_may_be_a_tensor(chunk: int, encoder: Encoder, mel: Callable) -> None:
    frames = mel(2, 128)
    of_tensor = whole(encoder, frames, ops.convert_to_tensor(chunk, "int32"))
    for a, b in zip(of_tensor, whole(encoder, frames, chunk), strict=True):
        np.testing.assert_array_equal(a, b)


def test_larger_chunks_hear_more(encoder: Encoder, mel: Callable) -> None:
    results = [whole(encoder, mel(1, 256), chunk)[1] for chunk in (*CHUNKS, 32)]
    for a, b in itertools.pairwise(results):
        assert np.abs(a - b).max() > 1e-3


def test_features_are_normalised_by_mean_and_deviation(tiny: ModelConfig, mel: Callable, randomised: Callable) -> None:
    encoder, frames = Encoder(tiny), mel(1, 64)
    encoder.build((None, None, 80))
    randomised(encoder, 3)
    encoder.mean.assign(np.zeros(80))
    encoder.deviation.assign(np.ones(80))
    expected = whole(encoder, frames, 8)[1]
    mean, deviation = np.linspace(-8, -4, 80), np.linspace(1, 3, 80)
    encoder.mean.assign(mean)
    encoder.deviation.assign(deviation)
    raw = (frames * deviation + mean).astype(np.float32)
    np.testing.assert_allclose(whole(encoder, raw, 8)[1], expected, atol=1e-4)
    assert encoder.mean.path not in [weight.path for weight in encoder.trainable_weights]


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("bfloat16")
def test_half_precision_is_near_single(tiny: ModelConfig, encoder: Encoder, mel: Callable) -> None:
    half = Encoder(tiny)
    half.build((None, None, 80))
    half.set_weights(encoder.get_weights())
    frames, lengths = ops.convert_to_tensor(mel(2, 256)), ops.full((2,), 256, "int32")
    upper = half(frames, lengths, chunk=8)[1]
    assert keras.backend.standardize_dtype(upper.dtype) == "bfloat16"
    expected = np.asarray(encoder(frames, lengths, chunk=8)[1])
    error = np.abs(np.asarray(ops.cast(upper, "float32")) - expected)
    assert error.mean() < 0.05
