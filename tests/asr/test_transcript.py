from dataclasses import FrozenInstanceError

import pytest

from asr.transcript import Segment, Transcript, Word, segment_of

A, B, C = Word("good", 0, 200, 0.9), Word("morning", 200, 700, 0.8), Word("all", 2_000, 2_300, 0.7)


def test_a_segment_spans_its_words() -> None:
    assert segment_of([A, B]) == Segment("good morning", (A, B), 0, 700)


def test_a_transcript_joins_its_segments() -> None:
    transcript = Transcript((segment_of([A, B]), segment_of([C])), 3_000)
    assert transcript.text == "good morning all"
    assert transcript.words == (A, B, C)


def test_nothing_said() -> None:
    assert (Transcript((), 500).text, Transcript((), 500).words) == ("", ())


def test_values_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        A.word = "bad"  # type: ignore[misc]
