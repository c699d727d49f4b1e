import itertools
import json
import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.formats import CUE_LINES, CUE_MS, LINE_CHARACTERS, PAUSE_MS, SHORTEST_CUE_MS, format_transcript
from asr.transcript import Segment, Transcript, Word, segment_of


@dataclass(frozen=True)
class Cue:
    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


def milliseconds(stamp: str, mark: str) -> int:
    found = re.fullmatch(rf"(\d{{2,}}):([0-5]\d):([0-5]\d){re.escape(mark)}(\d{{3}})", stamp)
    assert found, stamp
    hours, minutes, seconds, thousandths = map(int, found.groups())
    return ((hours * 60 + minutes) * 60 + seconds) * 1_000 + thousandths


def cue_of(timing: str, lines: list[str], mark: str) -> Cue:
    start, arrow, end = timing.split(" ")
    assert arrow == "-->"
    return Cue(milliseconds(start, mark), milliseconds(end, mark), tuple(lines))


def parse_srt(text: str) -> list[Cue]:
    """Blocks between empty lines: a number from 1, a timing, the lines."""
    assert text.endswith("\n")
    cues = []
    for number, block in enumerate(filter(None, text.strip("\n").split("\n\n")), 1):
        first, timing, *lines = block.split("\n")
        assert first == str(number)
        cues.append(cue_of(timing, lines, ","))
    return cues


def parse_vtt(text: str) -> list[Cue]:
    """A heading, then blocks of a timing and lines of cue text, whose entities are replaced."""
    head, *blocks = text.rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    cues = []
    for block in blocks:
        timing, *lines = block.split("\n")
        for line in lines:
            assert not re.search(r"[<>]|&(?!(amp|lt|gt);)", line), line
        plain = [line.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") for line in lines]
        cues.append(cue_of(timing, plain, "."))
    return cues


PARSERS = {"srt": parse_srt, "vtt": parse_vtt}


def spoken(text: str, start_ms: int = 0, word_ms: int = 300) -> Segment:
    """A segment in which every word takes as long."""
    starts = [(word, start_ms + i * word_ms) for i, word in enumerate(text.split())]
    return segment_of([Word(word, start, start + word_ms, 0.5) for word, start in starts])


def cues_of(kind: str, *segments: Segment) -> list[Cue]:
    return PARSERS[kind](format_transcript(Transcript(segments, 10**7), kind))


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Words in order, of any signs, times that may coincide, across hours."""
    signs = st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Z", "C"))
    texts = st.text(signs, min_size=1, max_size=20) | st.sampled_from(["-->", "<i>", "&amp;", "a&b"])
    now, segments = draw(st.integers(0, 10**8)), []
    for _ in range(draw(st.integers(0, 4))):
        words = []
        for text in draw(st.lists(texts, min_size=1, max_size=25)):
            now += draw(st.sampled_from([0, 1, 40, 900, 1_000, 5_000]))
            end = now + draw(st.sampled_from([0, 80, 700, 9_000]))
            words.append(Word(text, now, end, 0.5))
            now = draw(st.sampled_from([now, end]))
        segments.append(segment_of(words))
    return Transcript(tuple(segments), now)


@pytest.mark.parametrize("kind", ["srt", "vtt"])
@given(transcript=transcripts())
def test_cues_hold_every_word_within_the_limits(kind: str, transcript: Transcript) -> None:
    cues = PARSERS[kind](format_transcript(transcript, kind))
    assert [w for c in cues for line in c.lines for w in line.split(" ")] == [w.word for w in transcript.words]
    for cue in cues:
        assert 1 <= len(cue.lines) <= CUE_LINES
        assert all(len(line) <= LINE_CHARACTERS for line in cue.lines)
        assert 0 < cue.end_ms - cue.start_ms <= CUE_MS
    assert all(a.end_ms <= b.start_ms for a, b in itertools.pairwise(cues))


@pytest.mark.parametrize("kind", ["srt", "vtt"])
@given(start_ms=st.integers(0, 4 * 10**8), length_ms=st.integers(SHORTEST_CUE_MS, CUE_MS))
def test_timestamps_come_back(kind: str, start_ms: int, length_ms: int) -> None:
    assert cues_of(kind, spoken("word", start_ms, length_ms)) == [Cue(start_ms, start_ms + length_ms, ("word",))]


@pytest.mark.parametrize(("kind", "stamp"), [("srt", "01:02:03,004"), ("vtt", "01:02:03.004")])
def test_beyond_an_hour(kind: str, stamp: str) -> None:
    text = format_transcript(Transcript((spoken("late", 3_723_004, 500),), 10**7), kind)
    assert f"{stamp} --> " in text


def test_the_whole_of_a_small_srt() -> None:
    transcript = Transcript((spoken("good morning"), spoken("bye", 65_000, 1_000)), 70_000)
    assert format_transcript(transcript, "srt") == (
        "1\n00:00:00,000 --> 00:00:00,600\ngood morning\n\n2\n00:01:05,000 --> 00:01:06,000\nbye\n"
    )


def test_the_whole_of_a_small_vtt() -> None:
    transcript = Transcript((spoken("R&D <b> -->"), spoken("bye", 65_000, 1_000)), 70_000)
    assert format_transcript(transcript, "vtt") == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:00.900\nR&amp;D &lt;b&gt; --&gt;\n\n00:01:05.000 --> 00:01:06.000\nbye\n"
    )


def test_a_pause_starts_a_cue() -> None:
    def pair(pause_ms: int) -> Segment:
        return segment_of([Word("yes", 0, 500, 0.5), Word("no", 500 + pause_ms, 900 + pause_ms, 0.5)])

    assert [c.lines for c in cues_of("srt", pair(PAUSE_MS - 1))] == [("yes no",)]
    assert [c.lines for c in cues_of("srt", pair(PAUSE_MS))] == [("yes",), ("no",)]


def test_a_segment_starts_a_cue() -> None:
    assert [c.lines for c in cues_of("srt", spoken("one two"), spoken("three", 600))] == [("one two",), ("three",)]


def test_lines_break_between_words() -> None:
    text = "the quick brown fox jumps over the lazy dog and runs away into the deep dark forest again"
    (first, second), *rest = [c.lines for c in cues_of("srt", spoken(text, word_ms=100))]
    assert (first, second) == ("the quick brown fox jumps over the lazy", "dog and runs away into the deep dark")
    assert rest == [("forest again",)]


def test_a_cue_ends_before_it_lasts_too_long() -> None:
    cues = cues_of("srt", spoken("a b c d e f", word_ms=3_000))
    assert [(c.start_ms, c.end_ms) for c in cues] == [(0, 6_000), (6_000, 12_000), (12_000, 18_000)]


def test_a_word_longer_than_a_cue_may_last_is_cut_in_time() -> None:
    assert [c.end_ms for c in cues_of("srt", spoken("mmm", word_ms=CUE_MS + 5_000))] == [CUE_MS]


def test_a_short_word_stays_readable_but_not_into_the_next_cue() -> None:
    assert [c.end_ms for c in cues_of("srt", spoken("oh", word_ms=80))] == [SHORTEST_CUE_MS]
    cues = cues_of("srt", spoken("oh", word_ms=80), spoken("no", 200, 80))
    assert [(c.start_ms, c.end_ms) for c in cues] == [(0, 200), (200, 200 + SHORTEST_CUE_MS)]


def test_cues_of_words_at_the_same_time_follow_each_other() -> None:
    cues = cues_of("srt", spoken("a", 100, 0), spoken("b", 100, 0), spoken("c", 100, 0))
    assert [(c.start_ms, c.end_ms) for c in cues] == [(100, 101), (101, 102), (102, 502)]


def test_a_single_word_beyond_a_line_stays_whole() -> None:
    word = "x" * (LINE_CHARACTERS + 1)
    assert [c.lines for c in cues_of("srt", spoken(f"a {word} b"))] == [("a", word), ("b",)]


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_space_within_a_word_breaks_no_cue(kind: str) -> None:
    words = [Word("new\n\n york", 0, 500, 0.5), Word(" \n", 500, 600, 0.5), Word("city", 600, 900, 0.5)]
    assert cues_of(kind, segment_of(words)) == [Cue(0, 900, ("new york city",))]


def test_text_has_a_line_for_each_segment() -> None:
    transcript = Transcript((spoken("one two"), spoken("three", 5_000)), 9_000)
    assert format_transcript(transcript, "text") == "one two\nthree\n"


def test_json_holds_everything() -> None:
    words = [Word("café", 80, 480, 0.98765432), Word('"x"', 480, 900, 1.0)]
    text = format_transcript(Transcript((segment_of(words),), 1_234), "json", "small")
    assert "café" in text
    assert json.loads(text) == {
        "text": 'café "x"',
        "duration_ms": 1_234,
        "model": "small",
        "segments": [
            {
                "start_ms": 80,
                "end_ms": 900,
                "text": 'café "x"',
                "words": [
                    {"word": "café", "start_ms": 80, "end_ms": 480, "confidence": 0.9877},
                    {"word": '"x"', "start_ms": 480, "end_ms": 900, "confidence": 1.0},
                ],
            }
        ],
    }


def test_silence() -> None:
    nothing = Transcript((), 60_000)
    assert format_transcript(nothing, "text") == "\n"
    assert parse_srt(format_transcript(nothing, "srt")) == []
    assert format_transcript(nothing, "vtt") == "WEBVTT\n"
    assert json.loads(format_transcript(nothing, "json"))["segments"] == []


def test_an_unknown_format() -> None:
    with pytest.raises(AsrError, match="format: expected text, json, srt, vtt, got 'docx'"):
        format_transcript(Transcript((), 0), "docx")
