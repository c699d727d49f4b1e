"""The log-mel of the compiled step against the log-mel on the CPU."""

from collections.abc import Callable

import numpy as np
import pytest
from keras import ops

from asr.features import LOG_FLOOR, log_mel
from asr.features.frontend import LogMelFrontend
from asr.streaming.engine import compiled


def recordings(batch: int, samples: int, level: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(batch)
    tone = np.sin(2 * np.pi * 440 * np.arange(samples) / 16_000)
    return (level * (tone + 0.2 * rng.normal(size=(batch, samples)))).astype(np.float32)


def stream(step: Callable, samples: np.ndarray, hops: int) -> np.ndarray:
    state, frames = LogMelFrontend().initial_state(len(samples)), []
    for start in range(0, samples.shape[1], hops * 160):
        mel, state = step(ops.convert_to_tensor(samples[:, start : start + hops * 160]), state)
        frames.append(np.asarray(mel))
    return np.concatenate(frames, axis=1)


@pytest.mark.parametrize("mode", ["eager", "graph", "compiled"])
@pytest.mark.parametrize("level", [1.0, 0.1, 1e-3, 1e-5])
def test_equals_the_log_mel_of_the_cpu(mode: str, level: float) -> None:
    samples = recordings(2, 6400, level)
    frames = stream(compiled(LogMelFrontend().step, mode), samples, hops=8)
    expected = np.stack([log_mel(row) for row in samples])
    np.testing.assert_allclose(frames, expected, atol=1e-4)


@pytest.mark.parametrize("level", [0.5, 1e-3])
def test_equals_it_where_bands_are_far_apart(level: float) -> None:
    """A pure tone: bands far from it hold what the window leaks, some 100 dB below."""
    samples = (level * np.sin(2 * np.pi * 1000 * np.arange(6400) / 16_000)).astype(np.float32)[None]
    frames = stream(LogMelFrontend().step, samples, hops=40)
    # Samples are added and subtracted before they are multiplied: a rounding more, 100 dB below the tone.
    np.testing.assert_allclose(frames[0], log_mel(samples[0]), atol=2e-4)


@pytest.mark.parametrize("hops", [1, 2, 3, 5, 8, 40])
def test_any_number_of_hops_a_step_gives_the_same_frames(hops: int) -> None:
    samples = recordings(3, 160 * 120)
    frontend = LogMelFrontend()
    np.testing.assert_allclose(stream(frontend.step, samples, hops), stream(frontend.step, samples, 120), atol=1e-5)


def test_silence_is_the_floor() -> None:
    frames = stream(LogMelFrontend().step, np.zeros((1, 1600), np.float32), 10)
    np.testing.assert_allclose(frames, np.log(LOG_FLOOR), rtol=1e-6)


def test_part_of_a_hop_is_refused() -> None:
    frontend = LogMelFrontend()
    with pytest.raises(ValueError, match="expected a multiple of 160 samples, got 161"):
        frontend.step(ops.zeros((1, 161)), frontend.initial_state(1))
