"""Look-ahead: a stream that waits for it gives what the whole gives, and nothing after it is heard."""

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from asr.config import ModelConfig
from asr.encoder.encoder import FRAMES_PER_STEP, Encoder
from asr.encoder.lookahead import ChunkCopies
from asr.errors import ConfigError
from asr.features import MEL_BINS

AHEAD = 3
FRAMES = 24  # encoder frames of the recordings here
SIZES: dict[str, Any] = {"dim": 16, "heads": 2, "lower_layers": 2, "upper_layers": 2, "channels": 4, "left_frames": 6}
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    keras.utils.set_random_seed(3)
    layer = Encoder(ModelConfig(**SIZES, lookahead_frames=AHEAD))
    layer.build((None, None, MEL_BINS))
    return layer


def mel(seed: int, frames: int = FRAMES, rows: int = 1) -> np.ndarray:
    shape = (rows, FRAMES_PER_STEP * frames, MEL_BINS)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def whole(encoder: Encoder, frames: np.ndarray, chunk: int, lengths: list[int] | None = None) -> list[np.ndarray]:
    """Lower and upper frames; `lengths` in encoder frames."""
    counts = FRAMES_PER_STEP * np.array(lengths or [frames.shape[1] // FRAMES_PER_STEP] * len(frames), np.int32)
    return [np.asarray(x) for x in encoder(ops.convert_to_tensor(frames), ops.convert_to_tensor(counts), chunk=chunk)]


def streamed(encoder: Encoder, frames: np.ndarray, chunk: int, count: int) -> list[np.ndarray]:
    """Lower and upper frames by chunks, each with its look-ahead, of which there is none past encoder frame `count`."""
    state, found = encoder.initial_state(len(frames)), []
    size = FRAMES_PER_STEP * (chunk + AHEAD)
    for start in range(0, count, chunk):
        part = frames[:, FRAMES_PER_STEP * start :][:, :size]
        part = np.pad(part, ((0, 0), (0, size - part.shape[1]), (0, 0)))
        valid = np.full(len(frames), min(count - start, chunk + AHEAD), np.int32)
        *levels, state = encoder.step(ops.convert_to_tensor(part), state, ops.convert_to_tensor(valid))
        found.append([np.asarray(x) for x in levels])
    lower, upper = (np.concatenate(level, axis=1) for level in zip(*found, strict=True))
    return [lower[:, : 2 * count], upper[:, :count]]


@settings(max_examples=12, deadline=None)
@given(st.sampled_from([2, 3, 4, 8]), st.integers(9, FRAMES), st.integers(0, 3))
def test_streaming_equals_whole(encoder: Encoder, chunk: int, count: int, seed: int) -> None:
    """Also where the recording ends inside a chunk or inside a look-ahead."""
    frames = mel(seed)
    expected = whole(encoder, frames, chunk, [count])
    for found, level, last in zip(streamed(encoder, frames, chunk, count), expected, (2 * count, count), strict=True):
        np.testing.assert_allclose(found, level[:, :last], atol=TOLERANCE)


@pytest.mark.parametrize("chunk", [2, 4, 8])
def test_what_lies_within_the_look_ahead_counts_and_nothing_after_it(encoder: Encoder, chunk: int) -> None:
    """Through all layers: with a mask alone each layer would add its own look-ahead."""
    frames = mel(1)
    before = whole(encoder, frames, chunk)
    for first in range(chunk, FRAMES):  # the first encoder frame that is otherwise
        changed = frames.copy()
        changed[:, FRAMES_PER_STEP * first :] = mel(2)[:, FRAMES_PER_STEP * first :]
        heard_from = max(0, (first - AHEAD) // chunk * chunk)  # the first chunk whose look-ahead reaches it
        for x, y, per_step in zip(before, whole(encoder, changed, chunk), (2, 1), strict=True):
            edge = per_step * heard_from
            np.testing.assert_array_equal(x[:, :edge], y[:, :edge])
            assert np.abs(x[:, edge : edge + per_step] - y[:, edge : edge + per_step]).max() > 1e-4


def test_rows_and_padding_change_nothing(encoder: Encoder) -> None:
    frames = mel(4, rows=3)
    together = whole(encoder, frames, 4, [24, 16, 8])[1]
    for row, count in enumerate((24, 16, 8)):
        alone = whole(encoder, frames[row : row + 1, : FRAMES_PER_STEP * count], 4)[1]
        np.testing.assert_allclose(together[row : row + 1, :count], alone, atol=TOLERANCE)


def test_a_chunk_that_holds_everything_has_nothing_ahead(encoder: Encoder) -> None:
    keras.utils.set_random_seed(3)
    without = Encoder(ModelConfig(**SIZES))
    without.build((None, None, MEL_BINS))
    frames = mel(5)
    for x, y in zip(whole(encoder, frames, FRAMES), whole(without, frames, FRAMES), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-6)


def test_weights_are_shown_by_frame(encoder: Encoder) -> None:
    """Each frame's chunk, window before and look-ahead after share all of its attention."""
    found = encoder.look(ops.convert_to_tensor(mel(6)), ops.convert_to_tensor([FRAMES_PER_STEP * FRAMES]), 4)
    index = np.arange(FRAMES)
    start = (index // 4 * 4)[:, None]
    for name in ("upper0", "upper1"):
        weights = np.asarray(found[name])[0]
        assert weights.shape == (2, FRAMES, FRAMES)
        np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-5)
        seen = (index >= start - SIZES["left_frames"]) & (index < start + 4 + AHEAD)
        np.testing.assert_array_equal(weights.min(0) > 0, seen)


def test_a_chunk_that_is_not_known_is_an_error(encoder: Encoder) -> None:
    lengths = ops.convert_to_tensor([FRAMES_PER_STEP * FRAMES])
    with pytest.raises(ValueError, match="chunk: expected a Python int, for a model with look-ahead"):
        encoder(ops.convert_to_tensor(mel(0)), lengths, chunk=ops.convert_to_tensor(4))


def test_places_and_what_they_see() -> None:
    copies = ChunkCopies(frames=5, chunk=2, ahead=1)
    assert copies.places.tolist() == [0, 1, 2, 2, 3, 4, 4, 5, 6]
    x = np.arange(1.0, 6.0, dtype=np.float32).reshape(1, 5, 1)
    spread = np.asarray(copies.spread(x))
    assert spread[0, :, 0].tolist() == [1, 2, 3, 3, 4, 5, 5, 0, 0]
    np.testing.assert_array_equal(np.asarray(copies.gather(spread)), x)
    assert np.asarray(copies.chunks(spread))[:, :, 0].tolist() == [[1, 2, 3], [3, 4, 5], [5, 0, 0]]
    assert np.asarray(copies.before(spread, 3))[:, :, 0].tolist() == [[0, 0, 0], [0, 1, 2], [2, 3, 4]]
    seen = np.asarray(copies.mask(1, ops.convert_to_tensor([5])))[0]
    assert [np.flatnonzero(row).tolist() for row in seen] == [[0, 1, 2]] * 3 + [[1, 3, 4, 5]] * 3 + [[4, 6]] * 3


def test_configurations() -> None:
    assert ModelConfig().lookahead_frames == 0
    with pytest.raises(ConfigError, match="lookahead_frames: expected 0 or more, got -1"):
        ModelConfig(lookahead_frames=-1)
    with pytest.raises(ConfigError, match="lookahead_frames: expected 0 with areas in the encoder, got 2"):
        ModelConfig(lookahead_frames=2, encoder_attention="area")
