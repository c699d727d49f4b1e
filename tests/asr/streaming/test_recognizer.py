"""Streams in Python: any cut of the audio gives the whole recording's words, and events that keep their promises."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from asr.errors import AsrError, CheckpointError
from asr.streaming.events import Event, Final, Partial
from asr.streaming.recognizer import Recognizer, Stream
from asr.transcript import Transcript

CHUNKS = [160, 320, 640, 1280]


def parts_of(samples: np.ndarray, cuts: list[float]) -> list[np.ndarray]:
    """The samples cut at these shares of their length."""
    return np.split(samples, sorted(round(cut * len(samples)) for cut in cuts))


def follow(stream: Stream, parts: list[np.ndarray]) -> tuple[list[Event], Transcript]:
    events = [event for part in parts for event in stream.accept(part)]
    events += stream.finish_events()
    return events, stream.transcript()


def check_events(events: list[Event], transcript: Transcript) -> None:
    """What is called stable stays, segments and times go up, and the finals are the transcript."""
    segment, stable, audio_ms = 0, "", 0
    finals = []
    for event in events:
        assert event.segment == segment
        assert event.audio_ms >= audio_ms
        text = event.text if isinstance(event, Partial) else event.result.text
        assert text.startswith(stable)
        audio_ms = event.audio_ms
        if isinstance(event, Partial):
            assert 0 <= event.stable <= len(text)
            stable = text[: event.stable]
        else:
            finals.append(event.result)
            segment, stable = segment + 1, ""
    assert tuple(finals) == transcript.segments
    assert " ".join(s.text for s in finals) == transcript.text


def check_times(transcript: Transcript) -> None:
    last = 0
    for segment in transcript.segments:
        assert segment.text == " ".join(w.word for w in segment.words)
        assert segment.start_ms == segment.words[0].start_ms
        assert segment.end_ms == segment.words[-1].end_ms
        for word in segment.words:
            assert last <= word.start_ms <= word.end_ms <= transcript.duration_ms
            assert 0.0 < word.confidence <= 1.0
            assert word.word
            last = word.start_ms


@pytest.mark.parametrize("chunk_ms", CHUNKS)
@settings(max_examples=8, phases=(Phase.explicit, Phase.reuse, Phase.generate))  # to shrink takes minutes
@given(cuts=st.lists(st.floats(0, 1), max_size=9), seed=st.integers(1, 3), tail=st.integers(0, 20_000))
def test_any_cut_gives_the_words_of_the_whole(
    recogniser: Callable[..., Recognizer], make_audio: Callable, chunk_ms: int, cuts: list, seed: int, tail: int
) -> None:
    recognizer = recogniser(chunk_ms, silence_ms=400)
    samples = make_audio(6.0, seed)[: 96_000 - tail]
    whole = recognizer.transcribe(samples)
    events, transcript = follow(recognizer.stream(), parts_of(samples, cuts))
    assert transcript == whole
    assert transcript.duration_ms == len(samples) // 16
    check_events(events, transcript)
    check_times(transcript)


@pytest.mark.parametrize("chunk_ms", CHUNKS)
def test_random_model_says_something(
    recogniser: Callable[..., Recognizer], make_audio: Callable, chunk_ms: int
) -> None:
    """What the other tests stand on: words, several segments, and blocks without words."""
    transcript = recogniser(chunk_ms, silence_ms=400).transcribe(make_audio(16.0, 1))
    assert len({w.word for w in transcript.words}) > 3
    assert len(transcript.segments) > 1
    check_times(transcript)


def test_sample_by_sample_gives_the_words_of_the_whole(
    recogniser: Callable[..., Recognizer], make_audio: Callable
) -> None:
    recognizer, samples = recogniser(160), make_audio(1.13, 3)
    events, transcript = follow(recognizer.stream(), [samples[i : i + 1] for i in range(len(samples))])
    assert transcript == recognizer.transcribe(samples)
    check_events(events, transcript)


def test_an_iterable_of_parts_is_a_recording(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    recognizer, samples = recogniser(640), make_audio(3.0, 2)

    def parts() -> Iterator[np.ndarray]:
        yield from np.array_split(samples, 7)

    assert recognizer.transcribe(parts()) == recognizer.transcribe(samples)
    assert recognizer.transcribe([]) == Transcript((), 0)


def test_float64_samples_are_the_same(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    recognizer, samples = recogniser(640), make_audio(2.0, 2)
    assert recognizer.transcribe(samples.astype(np.float64)) == recognizer.transcribe(samples)


def test_the_caller_may_reuse_its_array(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    recognizer, samples = recogniser(640), make_audio(3.0, 2)
    block = np.zeros(1000, np.float32)
    with recognizer.stream() as stream:
        for start in range(0, len(samples), 1000):
            block[:] = samples[start : start + 1000]
            stream.accept(block)
        block[:] = 1.0
        assert stream.finish() == recognizer_of(recogniser, samples)


def recognizer_of(recogniser: Callable[..., Recognizer], samples: np.ndarray) -> Transcript:
    return recogniser(640).transcribe(samples)


def test_segments_end_where_the_pause_is_long_enough(
    recogniser: Callable[..., Recognizer], make_audio: Callable
) -> None:
    samples = make_audio(16.0, 1)
    counts = [len(recogniser(160, silence_ms=ms).transcribe(samples).segments) for ms in (160, 800, 0)]
    assert counts[0] > counts[1] >= counts[2] == 1
    whole = recogniser(160, silence_ms=0).transcribe(samples)
    events, _ = follow(recogniser(160, silence_ms=160).stream(), [samples])
    for event, following in itertools.pairwise(events):
        if isinstance(event, Final):
            assert event.audio_ms >= event.result.words[-1].start_ms + 160
            assert following.segment == event.segment + 1
    assert whole.segments[0].words


def test_streams_side_by_side_keep_their_own_events(
    recogniser: Callable[..., Recognizer], make_audio: Callable
) -> None:
    """One stream's call advances the others; what that brings is theirs."""
    recognizer = recogniser(640, 3)
    sounds = [make_audio(seconds, seed) for seconds, seed in ((4.0, 1), (2.9, 2), (5.3, 3))]
    alone = []
    for sound in sounds:
        alone.append(follow(recognizer.stream(), [sound]))
    streams = [recognizer.stream() for _ in sounds]
    events: list[list[Event]] = [[], [], []]
    for stream, sound in zip(streams, sounds, strict=True):
        stream.push(sound)  # ready all at once: the first call below runs all three
    for i in (1, 0, 2):
        events[i] += streams[i].accept(np.zeros(0, np.float32))
    for i in (2, 0, 1):
        events[i] += streams[i].finish_events()
    for i, (expected, transcript) in enumerate(alone):
        assert [(e.segment, e.audio_ms) for e in events[i]] == [(e.segment, e.audio_ms) for e in expected]
        assert streams[i].transcript().text == transcript.text
        check_events(events[i], streams[i].transcript())


def test_there_are_only_so_many_streams(recogniser: Callable[..., Recognizer]) -> None:
    recognizer = recogniser(640, 3)
    streams = [recognizer.stream() for _ in range(3)]
    with pytest.raises(AsrError, match="expected at most 3 streams at a time"):
        recognizer.stream()
    streams[1].finish()
    again = recognizer.stream()
    assert again.row == streams[1].row
    recognizer.release(streams[1])  # does not free what is another's now
    with pytest.raises(AsrError, match="at most 3"):
        recognizer.stream()
    for stream in (streams[0], again, streams[2]):
        stream.finish()


def test_leaving_a_stream_early_frees_its_place(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    recognizer, samples = recogniser(640), make_audio(2.0, 1)
    with pytest.raises(KeyError), recognizer.stream() as stream:
        stream.accept(samples)
        raise KeyError
    with pytest.raises(AsrError, match="mono"):
        recognizer.transcribe([samples, np.zeros((2, 2), np.float32)])
    assert recognizer.transcribe(samples).duration_ms == 2000


def test_a_stream_that_was_closed_early_hears_no_more(
    recogniser: Callable[..., Recognizer], make_audio: Callable
) -> None:
    with recogniser(640).stream() as stream:
        stream.accept(make_audio(2.0, 1))
    for more in (lambda: stream.accept(make_audio(1.0, 2)), stream.finish):
        with pytest.raises(AsrError, match="expected an open stream, this one was closed before all was recognised"):
            more()


def test_an_error_leaves_the_stream_as_it_was(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    recognizer, samples = recogniser(640), make_audio(3.0, 1)
    bad = samples[:1000].copy()
    bad[123] = np.nan
    with recognizer.stream() as stream:
        stream.accept(samples[:20_000])
        with pytest.raises(AsrError, match=f"NaN or infinity at {20_123 / 16_000:.3f} s"):
            stream.accept(bad)
        stream.accept(samples[20_000:])
        transcript = stream.finish()
    assert transcript == recognizer.transcribe(samples)
    with pytest.raises(AsrError, match="after the stream was finished"):
        stream.accept(samples)


def test_warm_up_changes_no_stream(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    recognizer, samples = recogniser(640), make_audio(4.0, 1)
    whole = recognizer.transcribe(samples)
    with recognizer.stream() as stream:
        stream.accept(samples[:33_000])
        recognizer.warm_up()
        stream.accept(samples[33_000:])
        assert stream.finish() == whole


def test_no_chunk_no_step(recogniser: Callable[..., Recognizer]) -> None:
    recognizer = recogniser(640)
    assert recognizer.advance() == []
    with recognizer.stream() as stream:
        assert stream.accept(np.zeros(10_239, np.float32)) == []
        assert recognizer.advance() == []
        assert stream.audio_ms == 0
        stream.accept(np.zeros(1, np.float32))
        assert stream.audio_ms == 640
        assert stream.finish().duration_ms == 640


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"streams": 0}, "streams: expected 1 or more, got 0"),
        ({"silence_ms": -1}, "silence_ms: expected 0 or more, got -1"),
        ({"beam": 33}, "beam: expected 0 to 32, got 33"),
        ({"chunk_ms": 200}, "chunk_ms: expected 160, 320 or a multiple of 640 up to 20480, got 200"),
        ({"mode": "fast"}, "engine: expected a mode that .* has .*got 'fast'"),
    ],
)
def test_wrong_settings_are_errors(model_folder: Path, wrong: dict, message: str) -> None:
    with pytest.raises(AsrError, match=message):
        Recognizer(model_folder, **wrong)


def test_missing_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: No such file .*expected a model folder"):
        Recognizer(str(tmp_path))


def test_a_beam_gives_the_words_of_the_whole_for_any_cut(model_folder: Path, make_audio: Callable) -> None:
    recognizer, samples = Recognizer(model_folder, 640, silence_ms=400, beam=4), make_audio(8.0, 1)
    whole, _ = follow(recognizer.stream(), [samples])
    events, transcript = follow(recognizer.stream(), parts_of(samples, [0.1, 0.33, 0.34, 0.8]))
    check_events(events, transcript)
    check_times(transcript)
    assert [e for e in whole if isinstance(e, Final)] == [e for e in events if isinstance(e, Final)]
    assert any(e.alternatives for e in events if isinstance(e, Final))
    assert transcript.words
