"""The client's transcripts and the recogniser's are written alike."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import asr.formats
import asr.transcript
from client.formats import Format, format_transcript
from client.transcript import Transcript, transcript_of
from server.wire import Final, Word
from tests.server.wire.finals import final_of


@st.composite
def finals(draw: st.DrawFn) -> list[Final]:
    """Segments of words in order, of any signs, times that may coincide, across hours."""
    signs = st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=("Z", "C"))
    texts = st.text(signs, min_size=1, max_size=20) | st.sampled_from(["-->", "<i>", "a&b", "new\n\n york", " \n"])
    now, found = draw(st.integers(0, 10**8)), []
    for segment in range(draw(st.integers(0, 4))):
        words = []
        for text in draw(st.lists(texts, min_size=1, max_size=25)):
            now += draw(st.sampled_from([0, 1, 40, 900, 1_000, 5_000]))
            end = now + draw(st.sampled_from([0, 80, 700, 9_000]))
            words.append(Word(word=text, start_ms=now, end_ms=end, confidence=draw(st.floats(0, 1))))
            now = draw(st.sampled_from([now, end]))
        found.append(final_of(segment, " ".join(w.word for w in words), words=tuple(words)))
    return found


@pytest.mark.parametrize("kind", Format)
@settings(max_examples=40)
@given(finals=finals(), duration_ms=st.integers(0, 10**9))
def test_both_write_the_same(kind: Format, finals: list[Final], duration_ms: int) -> None:
    segments = [
        asr.transcript.segment_of(
            [asr.transcript.Word(w.word, w.start_ms, w.end_ms, w.confidence) for w in final.words]
        )
        for final in finals
    ]
    theirs = asr.formats.format_transcript(asr.transcript.Transcript(tuple(segments), duration_ms), kind.value, "m")
    assert format_transcript(transcript_of(finals, duration_ms, "m"), kind) == theirs


def test_finals_without_words_or_text() -> None:
    transcript = transcript_of([final_of(0, "one two"), final_of(1, text="")], 1_000, "m")
    assert transcript.text == "one two"
    assert transcript.words == ()
    assert format_transcript(transcript, Format.text) == "one two\n"
    (segment,) = json.loads(format_transcript(transcript, Format.json))["segments"]
    assert segment == {"start_ms": 0, "end_ms": 0, "text": "one two", "words": []}


def test_silence() -> None:
    nothing = Transcript((), 60_000)
    assert [format_transcript(nothing, kind) for kind in (Format.text, Format.srt, Format.vtt)] == [
        "\n",
        "\n",
        "WEBVTT\n",
    ]


def test_extensions() -> None:
    assert [kind.extension for kind in Format] == ["txt", "json", "srt", "vtt"]
