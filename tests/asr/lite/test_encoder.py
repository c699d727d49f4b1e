"""The exported encoder's arithmetic against the encoder's own step, before it is exported."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from asr.attention.masking import MASKED
from asr.config import ModelConfig
from asr.errors import AsrError
from asr.lite.encoder import Level, RingEncoder
from asr.lite.folding import folded
from asr.lite.state import RingState
from asr.model_folder import bundled_model, load_model
from asr.transducer.model import Transducer

ROWS, STEPS = 2, 9


def ring_step(ring: RingEncoder, state: RingState, mel: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """The next chunk of rows that are slots 0, 1, …; log-mel is given, so there are no samples."""
    seen = state.seen.copy()
    sides = ring.lower.side_inputs(2 * seen, 2 * valid) + ring.upper.side_inputs(seen, valid)
    encoder = ring.model.encoder
    mel = (mel - np.asarray(encoder.mean)) / np.asarray(encoder.deviation)
    rings = [array[:, :, : level.ring] for array, level in zip(state.rings, doubled(ring.levels()), strict=True)]
    out = [np.asarray(x) for x in ring.step(ops.convert_to_tensor(mel), *sides, *state.small, *rings)]
    rows = np.flatnonzero(valid)
    state.keep(rows, rows, out[1:], ring, np.zeros((len(mel), 240), np.float32))
    return out[0]


def doubled(levels: list[Level]) -> list[Level]:
    return [level for level in levels for _ in range(2)]


@pytest.mark.parametrize("frames", [1, 2, 3, 8, 12])
def test_equals_the_encoders_step(make_model: Callable[..., Transducer], mel: Callable, frames: int) -> None:
    """Chunks that divide the window of 8 frames, that do not, and that are longer than it; slots larger than needed."""
    model, chunks = make_model(1), mel(ROWS, 8 * frames * STEPS, 3).reshape(ROWS, STEPS, 8 * frames, 80)
    ring = RingEncoder(model, frames, ROWS)
    state = RingState(ring, ROWS, (ring.lower.ring + 5, ring.upper.ring + 2))
    expected, valid = model.encoder.initial_state(ROWS), np.full(ROWS, frames)
    for n in range(STEPS):
        if n == 5:  # row 1 starts anew
            state.reset(np.array([1]))
            fresh = model.encoder.initial_state(ROWS)
            expected = keras.tree.map_structure(lambda a, b: ops.concatenate([a[:1], b[1:]]), expected, fresh)
        if n == STEPS - 1:  # the end of row 0
            valid = np.array([(frames + 1) // 2, frames])
        found = ring_step(ring, state, chunks[:, n], valid)
        _, encoded, expected = model.encoder.step(chunks[:, n], expected, ops.convert_to_tensor(valid, "int32"))
        wanted = np.asarray(model.joint.frames(encoded))
        for row in range(ROWS):
            np.testing.assert_allclose(found[row, : valid[row]], wanted[row, : valid[row]], atol=2e-4)


def test_a_row_without_a_chunk_keeps_its_state(make_model: Callable[..., Transducer], mel: Callable) -> None:
    ring = RingEncoder(make_model(1), 4, ROWS)
    state = RingState(ring, ROWS)
    ring_step(ring, state, mel(ROWS, 32, 3), np.array([4, 4]))
    before = [array.copy() for array in (state.seen, *state.small, *state.rings)]
    ring_step(ring, state, mel(ROWS, 32, 4), np.array([4, 0]))
    for old, new in zip(before, (state.seen, *state.small, *state.rings), strict=True):
        np.testing.assert_array_equal(new[1], old[1])
        assert not np.array_equal(new[0], old[0])


def test_places_never_grow() -> None:
    level = Level(chunk=4, left=10, head_dim=8)
    assert level.ring == 12
    day = np.array([4 * 270_000])
    inputs = [level.side_inputs(seen, np.array([4])) for seen in (day, np.array([24]))]
    for late, early in zip(*inputs, strict=True):
        np.testing.assert_array_equal(late, early)
    hidden = level.side_inputs(day + 4, np.array([3]))[3][0, 0, 0]
    # 4 to 7 of the ring are the oldest: 12 to 9 frames before the chunk, of which 10 are seen; the chunk has 3 frames.
    np.testing.assert_array_equal(hidden == MASKED, [i in (4, 5, 15) for i in range(16)])


def test_folding_needs_no_norm_weights(make_model: Callable[..., Transducer], mel: Callable) -> None:
    layer = make_model(1).encoder.upper[0]
    x = mel(1, 5, 7)[:, :, :32]
    normal = (x - x.mean(-1, keepdims=True)) / x.std(-1, keepdims=True)
    weights = folded(layer)
    scaled = normal * np.asarray(layer.w["ff1_scale"]) + np.asarray(layer.w["ff1_offset"])
    expected = scaled @ np.asarray(layer.w["in1"]) + np.asarray(layer.w["in1_bias"])
    np.testing.assert_allclose(normal @ weights.in1.kernel + weights.in1.bias, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_attention": "area"}, "LiteRT serves encoder_attention 'windowed', got 'area'"),
        ({"lookahead_frames": 2}, "LiteRT serves models without look-ahead, got lookahead_frames 2"),
    ],
)
def test_encoders_that_are_not_served(tiny: ModelConfig, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AsrError, match=f"engine: {message}"):
        RingEncoder(Transducer(dataclasses.replace(tiny, **changes)), 4, 1)


def test_an_idle_stream_of_the_bundled_model_takes_less_than_two_megabytes() -> None:
    model, _ = load_model(bundled_model())
    state = RingState(RingEncoder(model, 4, 1), 3)
    assert 1e5 < state.bytes_per_slot < 1.9e6  # decoding adds some 20 kB
