import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.session.transcript import SessionTranscript
from server.wire import Alternative, Attention, ErrorCode, Final, Partial, ServerMessage, WireError, Word
from server.worker import messages as worker
from tests.server.session.making import recognised, segment


def heard(transcript: SessionTranscript, text: str, stable: int, position: int = 16_000) -> list[ServerMessage]:
    event = worker.Hypothesis(segment=transcript.segments, text=text, stable=stable)
    return transcript.hear(recognised(event, position=position))


def shown(messages: list[ServerMessage]) -> list[tuple[str, int]]:
    return [(message.text, message.stable) for message in messages if isinstance(message, Partial)]


@given(st.lists(st.tuples(st.text("ab ", max_size=8), st.integers(0, 12)), max_size=12))
def test_a_declared_prefix_never_changes_whatever_the_worker_says(events: list[tuple[str, int]]) -> None:
    transcript = SessionTranscript(words=False, kept=5)
    declared = ""
    for text, stable in events:
        for shown_text, shown_stable in shown(heard(transcript, text, stable)):
            assert shown_text == text
            assert shown_text.startswith(declared) and shown_stable >= len(declared)
            declared = shown_text[:shown_stable]


def test_a_contradiction_is_not_shown_until_it_is_over() -> None:
    transcript = SessionTranscript(words=False, kept=5)
    assert shown(heard(transcript, "the cat sat", 8)) == [("the cat sat", 7)]
    assert heard(transcript, "the hat", 4) == []
    assert shown(heard(transcript, "the cat sat on", 3)) == [("the cat sat on", 7)]
    (final,) = transcript.hear(recognised(segment(0, "the hat sat on"), position=16_000))
    assert isinstance(final, Final)
    assert final.text == "the hat sat on", "what was recognised in the end is told as it is"
    assert shown(heard(transcript, "so", 0)) == [("so", 0)]


def test_a_stable_prefix_ends_before_the_blank() -> None:
    assert shown(heard(SessionTranscript(words=False, kept=5), "one two ", 8)) == [("one two ", 7)]


def test_a_replay_is_not_heard_twice() -> None:
    transcript = SessionTranscript(words=False, kept=5)
    assert shown(heard(transcript, "a", 0, 16_000))
    assert shown(heard(transcript, "a b", 1, 32_000))
    transcript.replaying()
    assert heard(transcript, "a", 0, 16_000) == []
    assert heard(transcript, "a b", 1, 32_000) == []
    (partial,) = heard(transcript, "a b c", 1, 32_160)
    assert isinstance(partial, Partial) and partial.audio_ms == 2_010


@pytest.mark.parametrize("words", [False, True])
def test_a_final_has_the_times_and_the_mean_confidence_of_its_words(words: bool) -> None:
    spoken = (worker.SpokenWord("a", 480, 640, 0.9), worker.SpokenWord("b", 640, 1_200, 0.5))
    event = worker.Segment(segment=0, text="a b", words=spoken)
    (final,) = SessionTranscript(words, kept=5).hear(recognised(event, position=32_000))
    assert isinstance(final, Final)
    assert (final.start_ms, final.end_ms, final.confidence) == (480, 1_200, pytest.approx(0.7))
    assert len(final.words) == (2 if words else 0)


def test_a_final_is_told_once() -> None:
    transcript = SessionTranscript(words=False, kept=5)
    message = recognised(segment(0, "a"), position=16_000)
    assert len(transcript.hear(message)) == 1
    assert transcript.hear(message) == []
    with pytest.raises(ValueError, match="expected segment 1 at most, got 2"):
        transcript.hear(recognised(segment(2, "c"), position=16_000))


def test_a_hair_beyond_the_bounds_is_put_right() -> None:
    transcript = SessionTranscript(words=True, kept=5)
    event = worker.Segment(
        segment=0,
        text="a b",
        words=(worker.SpokenWord("a", -1, 20, 1.0000001), worker.SpokenWord("b", 30, 20, -1e-9)),
        alternatives=(worker.Reading(text="a c", confidence=1.5),),
    )
    (final,) = transcript.hear(recognised(event, position=16_000))
    assert isinstance(final, Final)
    assert final.words == (
        Word(word="a", start_ms=0, end_ms=20, confidence=1.0),
        Word(word="b", start_ms=30, end_ms=30, confidence=0.0),
    )
    assert final.alternatives == (Alternative(text="a c", confidence=1.0),)


def test_missed_events_are_told_from_the_one_that_the_client_wants() -> None:
    transcript = SessionTranscript(words=False, kept=2)
    for number in range(4):
        transcript.hear(recognised(segment(number, str(number)), position=16_000))
    heard(transcript, "open", 0)
    texts = [message.text for message in transcript.missed(3) if isinstance(message, Final | Partial)]
    assert texts == ["3", "open"]
    for segments in (2, 3, 4):
        transcript.check(segments)
    for segments in (1, 5):
        with pytest.raises(WireError, match=f"from 2 to 4, got {segments}") as caught:
            transcript.check(segments)
        assert caught.value.code is ErrorCode.UNKNOWN_SESSION


def test_looks_become_attention_but_not_in_a_replay() -> None:
    transcript = SessionTranscript(words=False, kept=5)
    heard(transcript, "a", 0, 16_000)
    look = worker.Look(
        audio_ms=1_320, frame_ms=80.0, labels=("\u2581a",), weights=((0.25, 1.0000001),), end_probability=1.1
    )
    message = worker.Recognised(
        stream=7, events=(), position=21_120, keep_from=0, queue_ms=1, compute_ms=2, batch=1, looks=(look,)
    )
    attention = Attention(
        audio_ms=1_320, frame_ms=80.0, labels=("\u2581a",), weights=((0.25, 1.0),), end_probability=1.0
    )
    assert transcript.hear(message) == [attention]
    heard(transcript, "a b", 0, 21_120)
    transcript.replaying()
    assert transcript.hear(message) == []
