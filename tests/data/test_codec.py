"""MP3 there and back: as long, in place, and a little worse."""

import numpy as np
import pytest

from data.codec import mp3


def sound(seconds: float) -> np.ndarray:
    times = np.arange(round(16_000 * seconds)) / 16_000
    return (0.4 * np.sin(2 * np.pi * (300 + 400 * times) * times)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 575, 16_001])
def test_the_length_stays(count: int) -> None:
    found = mp3(sound(2.0)[:count])
    assert found.shape == (count,) and found.dtype == np.float32


def test_nothing_moves_and_the_less_bits_the_more_is_lost() -> None:
    noise = np.random.default_rng(0).normal(0.0, 0.1, 32_000).astype(np.float32)
    lost = {rate: np.sqrt(np.mean((mp3(noise, rate) - noise) ** 2)) / 0.1 for rate in (16_000, 32_000, 128_000)}
    assert 0.0 < lost[128_000] < 0.5  # moved by a sample it would be 1.4
    assert lost[128_000] < lost[32_000] < lost[16_000] < 1.4


def test_of_nothing_nothing_is_left() -> None:
    assert len(mp3(np.zeros(0, np.float32))) == 0
