"""A stream's state outside the compiled step: what another process needs to take it over, and no more."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from asr.streaming.events import Event, Final
from asr.streaming.recognizer import Recognizer, Stream
from asr.streaming.stream import StreamState


def taken_over(recognizer: Recognizer, position: int, segment: int) -> Stream:
    """A stream that begins where another was lost."""
    stream = recognizer.stream()
    tokenizer, engine = recognizer.tokenizer, recognizer.engine
    stream.state = StreamState(tokenizer, engine, recognizer.silence_ms, position, segment)
    return stream


def finals(events: list[Event]) -> list[Final]:
    return [event for event in events if isinstance(event, Final)]


@pytest.mark.parametrize("chunk_ms", [160, 640])
@settings(max_examples=6, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    losses=st.lists(st.integers(0, 24 * 16_000), max_size=3).map(sorted),
    seed=st.integers(1, 3),
    silence_ms=st.sampled_from([160, 400, 800]),
)
def test_a_stream_lost_anywhere_goes_on_from_keep_from(
    recogniser: Callable[..., Recognizer],
    make_audio: Callable,
    chunk_ms: int,
    losses: list[int],
    seed: int,
    silence_ms: int,
) -> None:
    """Its segments are those of the undisturbed stream, word for word and time for time."""
    recognizer, samples = recogniser(chunk_ms, silence_ms=silence_ms), make_audio(24.0, seed)
    samples[10 * 16_000 : 18 * 16_000] = 0.0  # long enough for a restart without words
    whole = recognizer.stream()
    expected = finals(whole.accept(samples) + whole.finish_events())
    assert len(expected) > 1

    found: list[Final] = []
    stream, heard = recognizer.stream(), 0
    for lost in losses:
        found += finals(stream.accept(samples[heard:lost]))
        heard = lost
        recognizer.release(stream)
        keep_from = stream.state.keep_from
        assert 0 <= keep_from <= lost
        stream = taken_over(recognizer, keep_from, len(found))
        stream.push(samples[keep_from:lost])
    found += finals(stream.accept(samples[heard:]) + stream.finish_events())
    assert [(f.segment, f.result) for f in found] == [(f.segment, f.result) for f in expected]


def test_a_flush_ends_the_segment_and_the_stream_goes_on(
    recogniser: Callable[..., Recognizer], make_audio: Callable
) -> None:
    """What comes after a flush is recognised as a recording of its own would be."""
    recognizer = recogniser(640, silence_ms=0)
    first, second = make_audio(2.345, 1), make_audio(3.0, 2)
    with recognizer.stream() as stream:
        before = finals(stream.accept(first) + stream.flush())
        assert stream.state.keep_from == len(first)
        after = finals(stream.accept(second) + stream.finish_events())
        assert stream.transcript().duration_ms == (len(first) + len(second)) // 16
    (one,), (two,) = (recognizer.transcribe(part).segments for part in (first, second))
    assert [f.result for f in before] == [one]
    assert [w.word for w in after[0].result.words] == [w.word for w in two.words]
    assert after[0].result.words[0].start_ms >= one.words[-1].end_ms
    assert (before[0].segment, after[0].segment) == (0, 1)


def test_a_flush_of_nothing_is_nothing(recogniser: Callable[..., Recognizer]) -> None:
    with recogniser(640).stream() as stream:
        assert stream.flush() == []
        stream.accept(np.zeros(100, np.float32))
        assert stream.flush() == []
        assert stream.flush() == []
        assert stream.state.keep_from == 100


def test_little_audio_is_kept(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    """However long the stream: what a restart may need, and what waits for its chunk."""
    with recogniser(640, silence_ms=800).stream() as stream:
        most = 0
        for second in range(60):
            stream.accept(make_audio(1.0, second) * (0.0 if 20 < second < 40 else 1.0))
            buffer = stream.state.buffer
            most = max(most, sum(len(part) for _, part in buffer._taken) + sum(len(p) for p in buffer._waiting))
            assert stream.state.keep_from >= buffer.received - 45 * 16_000
    assert most < 45 * 16_000
