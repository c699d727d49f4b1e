"""Pauses by ear: quieter than the word before, and restarted where it is quietest."""

import numpy as np
import pytest

from asr.streaming.pauses import QUIETER_DB, is_quiet, quietest


def level(*parts: tuple[int, float]) -> np.ndarray:
    """Parts of so many milliseconds and so many dB of full scale."""
    return np.concatenate([np.full(16 * ms, 10 ** (db / 20), np.float32) for ms, db in parts])


@pytest.mark.parametrize(
    ("pause", "quiet"),
    [
        (level((800, -20.0 - QUIETER_DB - 1)), True),
        (level((800, -20.0 - QUIETER_DB + 1)), False),
        (level((300, -20), (300, -60), (200, -20)), True),
        (level((340, -20), (100, -60), (360, -20)), False),  # no longer than a plosive's closure
        (level((100, -60)), True),
        (np.zeros(0, np.float32), True),
    ],
)
def test_a_pause_is_quieter_than_the_word(pause: np.ndarray, quiet: bool) -> None:
    assert is_quiet(level((80, -40), (160, -20), (80, -40)), pause) is quiet


def test_digital_silence_is_quiet_after_any_word() -> None:
    assert is_quiet(np.zeros(1600, np.float32), np.zeros(16_000, np.float32))


def test_the_quietest_place_is_found() -> None:
    samples = level((300, -20), (100, -50), (400, -20))
    assert abs(quietest(samples) / 16 - 350) <= 10


@pytest.mark.parametrize("ms", [0, 5, 70, 160, 800])
def test_where_all_is_as_quiet_it_is_the_middle(ms: int) -> None:
    assert abs(quietest(level((ms, -60))) - 8 * ms) <= 80
