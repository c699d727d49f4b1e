"""Utterances behind each other: each once, no row too long, pauses from the quietest of the recording after them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.joining import Joined, parts_of, runs
from data.splice import Part


@given(st.lists(st.integers(1, 300), max_size=40), st.floats(0, 1), st.integers(0, 60), st.integers(0, 9))
def test_every_utterance_is_in_one_row_that_is_not_too_long(
    lengths: list[int], share: float, pause: int, seed: int
) -> None:
    found = runs(lengths, share, pause, 250, np.random.default_rng(seed))
    assert sorted(i for row, _ in found for i in row) == list(range(len(lengths)))
    for row, pauses in found:
        assert len(row) == len(pauses)
        assert all(0 <= before <= min(pause, lengths[i]) for i, before in zip(row, pauses, strict=True))
        size = sum(pauses) + sum(lengths[i] for i in row)
        assert size <= 250 or (len(row) == 1 and not pauses[0])  # a longer one stays by itself


def test_rows_are_of_all_lengths_up_to_the_longest() -> None:
    lengths = [20] * 4000
    sizes = [sum(p) + 20 * len(row) for row, p in runs(lengths, 1.0, 10, 250, np.random.default_rng(1))]
    found = np.histogram(sizes, [20, 80, 140, 200, 251])[0]
    assert found.min() > 0.3 * found.max() and max(sizes) > 240


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_is_of_rows(share: float) -> None:
    """Rows that were drawn to be hardly longer than their first utterance stay single."""
    found = runs([10] * 3000, share, 0, 1000, np.random.default_rng(2))
    assert np.mean([len(row) > 1 for row, _ in found]) == pytest.approx(share, abs=0.05)


def test_another_epoch_has_other_rows_and_the_same_one_the_same() -> None:
    one, same, other = (runs([30] * 50, 0.5, 10, 200, np.random.default_rng(n)) for n in (1, 1, 2))
    assert one == same != other


def test_a_pause_is_the_quietest_stretch_of_the_recording_behind_it() -> None:
    frames = {"a": np.full((6, 2), 5.0, np.float32), "b": np.full((9, 2), 5.0, np.float32)}
    frames["b"][[1, 4, 5, 6]] = 0.0  # the single quiet frame is not where three in a row are quietest
    parts = parts_of(Joined(("a", "b", "a"), (0, 3, 6)), frames.__getitem__)
    assert parts == (Part("a", 0, 6), Part("b", 4, 7), Part("b", 0, 9), Part("a", 0, 6), Part("a", 0, 6))
