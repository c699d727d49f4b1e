"""How far back an encoder's output depends on what it heard."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from keras import ops

from asr.encoder.encoder import FRAMES_PER_STEP
from asr.encoder.reach import reach_frames, whole_chunks
from asr.transducer.model import Transducer


@pytest.mark.parametrize(
    ("frames", "chunk", "expected"), [(40, 2, 40), (40, 8, 40), (40, 16, 48), (40, 192, 192), (8, 8, 8), (7, 2, 8)]
)
def test_windows_are_rounded_to_whole_chunks(frames: int, chunk: int, expected: int) -> None:
    assert whole_chunks(frames, chunk) == expected


@pytest.mark.parametrize("chunk", [2, 4, 8, 16])
@pytest.mark.parametrize("upper_layers", [1, 3])
def test_a_chunk_depends_on_no_more_than_its_reach(
    chunk: int, upper_layers: int, make_model: Callable, mel: Callable
) -> None:
    """Bit by bit, from a state that started anew by its reach before; by two thirds of it less, it is another."""
    config = dataclasses.replace(make_model(0).config, upper_layers=upper_layers)
    encoder = Transducer(config).encoder
    reach = reach_frames(config, chunk)
    frames = mel(1, (reach + 3 * chunk + 2) // chunk * chunk * FRAMES_PER_STEP)
    unit = chunk * FRAMES_PER_STEP

    def last(first: int) -> np.ndarray:
        """Upper frames of the last chunk, of a stream that began at this one."""
        state = encoder.initial_state(1)
        for start in range(first * unit, frames.shape[1], unit):
            _, upper, state = encoder.step(ops.convert_to_tensor(frames[:, start : start + unit]), state)
        return np.asarray(upper)

    chunks = frames.shape[1] // unit
    assert reach % chunk == 0 and chunks > reach // chunk + 1
    expected = last(0)
    np.testing.assert_array_equal(last(chunks - 1 - reach // chunk), expected)
    assert np.abs(last(chunks - 1 - reach // (3 * chunk)) - expected).max() > 0
