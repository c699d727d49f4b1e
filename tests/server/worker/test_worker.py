"""The worker without its socket: transcripts are the recogniser's, whatever comes in between."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.engine_kind import EngineKind
from asr.language.fusion import make_search
from asr.model_folder import load_model
from asr.streaming.phrase_lists import PhraseLists
from asr.streaming.recognizer import Recognizer
from asr.streaming.slots import SlotEngine
from server.worker.messages import (
    Audio,
    Drop,
    Finish,
    Finished,
    Flush,
    Flushed,
    FromWorker,
    Hypothesis,
    Open,
    Recognised,
    Refused,
    Segment,
    Shutdown,
)
from server.worker.worker import Worker

SILENCE_MS = 400
CHUNK_MS = 160


class Clock:
    """Seconds that pass when told to, and a little with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


@pytest.fixture(scope="module")
def engine(model_folder: Path) -> tuple[SlotEngine, object]:
    model, tokenizer = load_model(model_folder)
    return SlotEngine(model, [CHUNK_MS], 5, (1, 4), phrases=PhraseLists(tokenizer, 2, 50.0)), tokenizer


@pytest.fixture
def worker(engine: tuple) -> Worker:
    return Worker(*engine, Clock())


def opened(stream: int, **fields: object) -> Open:
    return Open(**{"stream": stream, "chunk_ms": CHUNK_MS, "silence_ms": SILENCE_MS, **fields})


def run(worker: Worker, *messages: object) -> list[FromWorker]:
    """Hands in messages and works until nothing is left."""
    answers = [answer for message in messages for answer in worker.handle(message)]
    while worker.busy:
        answers += worker.work()
    return answers


def audio(stream: int, samples: np.ndarray) -> Audio:
    return Audio(stream=stream, samples=samples.astype("<f4").tobytes())


def segments(answers: list[FromWorker], stream: int) -> list[Segment]:
    of_stream = [a for a in answers if isinstance(a, Recognised) and a.stream == stream]
    return [event for answer in of_stream for event in answer.events if isinstance(event, Segment)]


def expected(recognizer: Recognizer, samples: np.ndarray) -> list[tuple]:
    return [
        (s.text, [(w.word, w.start_ms, w.end_ms) for w in s.words]) for s in recognizer.transcribe(samples).segments
    ]


def said(found: list[Segment]) -> list[tuple]:
    return [(s.text, [(w.word, w.start_ms, w.end_ms) for w in s.words]) for s in found]


def test_interleaved_streams_get_the_recognisers_words(
    worker: Worker, recogniser: Callable[..., Recognizer], sounds: list[np.ndarray]
) -> None:
    recognizer, rng = recogniser(CHUNK_MS, silence_ms=SILENCE_MS), np.random.default_rng(1)
    answers = [answer for i in range(len(sounds)) for answer in worker.handle(opened(i))]
    sent = [0] * len(sounds)
    while any(n < len(sound) for n, sound in zip(sent, sounds, strict=True)):
        i = int(rng.integers(len(sounds)))
        end = sent[i] + int(rng.integers(0, 9000))
        answers += worker.handle(audio(i, sounds[i][sent[i] : end]))
        sent[i] = end
        if rng.random() < 0.5:
            answers += worker.work()
    answers += run(worker, *(Finish(stream=i) for i in range(len(sounds))))
    for i, sound in enumerate(sounds):
        found = segments(answers, i)
        assert said(found) == expected(recognizer, sound)
        assert [s.segment for s in found] == list(range(len(found)))
        assert sum(a == Finished(stream=i) for a in answers) == 1
    assert any(a.batch > 1 for a in answers if isinstance(a, Recognised))
    assert not worker.streams


def test_recognised_tells_where_the_stream_is(worker: Worker, sounds: list[np.ndarray]) -> None:
    answers = run(worker, opened(1), audio(1, sounds[2]), Finish(stream=1))
    position = keep_from = 0
    for answer in answers[:-1]:
        assert isinstance(answer, Recognised)
        assert position <= answer.position <= len(sounds[2])
        assert keep_from <= answer.keep_from <= answer.position
        assert answer.queue_ms >= 0
        assert answer.compute_ms >= 0
        position, keep_from = answer.position, answer.keep_from
        for event in answer.events:
            if isinstance(event, Hypothesis):
                assert 0 <= event.stable <= len(event.text)
    assert position == len(sounds[2])


@pytest.mark.parametrize("lost_at", [0.15, 0.5, 0.9])
def test_another_worker_goes_on_from_keep_from(
    engine: tuple, recogniser: Callable[..., Recognizer], sounds: list[np.ndarray], lost_at: float
) -> None:
    sound = sounds[4]
    cut = int(lost_at * len(sound))
    first = run(Worker(*engine, Clock()), opened(1), audio(1, sound[:cut]))
    before = segments(first, 1)
    keep_from = max((a.keep_from for a in first if isinstance(a, Recognised)), default=0)
    again = opened(1, position=keep_from, segment=len(before))
    second = run(Worker(*engine, Clock()), again, audio(1, sound[keep_from:]), Finish(stream=1))
    whole = expected(recogniser(CHUNK_MS, silence_ms=SILENCE_MS), sound)
    assert said(before + segments(second, 1)) == whole
    assert [s.segment for s in before + segments(second, 1)] == list(range(len(whole)))


@pytest.mark.parametrize("kind", [EngineKind.xla, EngineKind.litert_int8])
def test_a_beam_s_words_are_the_recogniser_s_though_a_worker_is_lost(
    kind: EngineKind, model_folder: Path, sounds: list[np.ndarray]
) -> None:
    """Two streams in a batch, one of them lost midway: the slots keep every hypothesis apart."""
    model, tokenizer = load_model(model_folder)
    search = make_search(model_folder, model, tokenizer, 3)
    slots = SlotEngine(model, [CHUNK_MS], 3, (2,), search, PhraseLists(tokenizer, 2, 50.0), kind)
    recognizer = Recognizer(model_folder, CHUNK_MS, silence_ms=SILENCE_MS, beam=3, engine=kind)
    lost, beside = sounds[4], sounds[1]
    cut = len(lost) // 2
    first = run(Worker(slots, tokenizer, Clock()), opened(1), audio(1, lost[:cut]))
    before = segments(first, 1)
    keep_from = max(a.keep_from for a in first if isinstance(a, Recognised))
    messages = [opened(7, attention=True), opened(1, position=keep_from, segment=len(before))]
    messages += [audio(7, beside), audio(1, lost[keep_from:]), Finish(stream=7), Finish(stream=1)]
    second = run(Worker(slots, tokenizer, Clock()), *messages)
    assert before and said(before + segments(second, 1)) == expected(recognizer, lost)
    assert said(segments(second, 7)) == expected(recognizer, beside)
    assert not any(a.looks for a in second if isinstance(a, Recognised) and a.stream == 1)
    looks = [look for a in second if isinstance(a, Recognised) and a.stream == 7 for look in a.looks]
    attended = {look.end_ms: look.labels for look in recognizer.attend(beside).looks}
    assert {look.audio_ms: look.labels for look in looks} == attended and any(attended.values())
    named = ("omega", "onto", "to")
    messages = [opened(1, phrases=named), opened(2), audio(1, sounds[0]), audio(2, sounds[0])]
    third = run(Worker(slots, tokenizer, Clock()), *messages, Finish(stream=1), Finish(stream=2))
    assert set(named) & set(" ".join(segment.text for segment in segments(third, 1)).split())
    assert said(segments(third, 2)) == expected(recognizer, sounds[0])


def test_a_flush_does_not_reach_into_what_comes_after(worker: Worker, sounds: list[np.ndarray]) -> None:
    """Audio and another flush arrive while the first flush is not done: the result is as if they had come later."""
    one, two = sounds[0], sounds[1]
    slow = run(worker, opened(1), audio(1, one), Flush(stream=1))
    slow += run(worker, audio(1, two), Flush(stream=1), Finish(stream=1))
    at_once = run(worker, opened(2), audio(2, one), Flush(stream=2), audio(2, two), Flush(stream=2), Finish(stream=2))
    assert said(segments(slow, 1)) == said(segments(at_once, 2))
    flushed = [a for a in at_once if isinstance(a, Flushed)]
    assert [a.keep_from for a in flushed] == [len(one), len(one) + len(two)]
    assert at_once[-1] == Finished(stream=2)


def test_a_flush_of_nothing_is_answered(worker: Worker) -> None:
    assert run(worker, opened(1), Flush(stream=1)) == [Flushed(stream=1, keep_from=0)]
    assert run(worker, Finish(stream=1)) == [Finished(stream=1)]


@pytest.mark.parametrize(
    ("samples", "message"),
    [(np.array([np.nan], "<f4").tobytes(), "expected finite samples"), (b"abc", "expected samples of 4 bytes, got 3")],
)
def test_bad_audio_is_refused_and_harms_no_other(
    worker: Worker, recogniser: Callable[..., Recognizer], sounds: list[np.ndarray], samples: bytes, message: str
) -> None:
    worker.handle(opened(1))
    worker.handle(opened(2))
    worker.handle(audio(2, sounds[0][:20_000]))
    (refused,) = worker.handle(Audio(stream=1, samples=samples))
    assert isinstance(refused, Refused)
    assert message in refused.message
    assert not refused.unsupported
    assert worker.handle(audio(1, sounds[0])) == []  # forgotten
    answers = run(worker, audio(2, sounds[0][20_000:]), Finish(stream=2))
    assert said(segments(answers, 2)) == expected(recogniser(CHUNK_MS, silence_ms=SILENCE_MS), sounds[0])


def test_bad_audio_that_waited_for_a_flush_is_refused(worker: Worker, sounds: list[np.ndarray]) -> None:
    answers = run(
        worker, opened(1), audio(1, sounds[0]), Flush(stream=1), Audio(stream=1, samples=b"abc"), Finish(stream=1)
    )
    assert isinstance(answers[-1], Refused)
    assert not worker.streams


def test_what_cannot_be_opened_is_refused(worker: Worker) -> None:
    (chunk,) = worker.handle(opened(1, chunk_ms=640))
    assert chunk == Refused(stream=1, message="chunk_ms: expected one of 160, got 640", unsupported=True)
    assert all(worker.handle(opened(i)) == [] for i in range(5))
    (full,) = worker.handle(opened(5))
    assert isinstance(full, Refused)
    assert not full.unsupported
    worker.handle(Drop(stream=3))
    assert worker.handle(opened(5)) == []


def test_a_stream_favours_its_own_phrases(
    worker: Worker, sounds: list[np.ndarray], recogniser: Callable[..., Recognizer]
) -> None:
    """What begins like one becomes it, so far above all else they are; a stream beside it says what it always says."""
    named = ("omega", "onto", "to")
    messages = [opened(1, phrases=named), opened(2), audio(1, sounds[0]), audio(2, sounds[0])]
    answers = run(worker, *messages, Finish(stream=1), Finish(stream=2))
    assert said(segments(answers, 2)) == expected(recogniser(CHUNK_MS, silence_ms=SILENCE_MS), sounds[0])
    favoured, plain = (" ".join(segment.text for segment in segments(answers, i)).split() for i in (1, 2))
    assert set(named) & set(favoured)
    assert not set(named) & set(plain)


def test_phrases_that_cannot_be_followed_are_refused(worker: Worker) -> None:
    (unsaid,) = worker.handle(opened(1, phrases=("cat", "中")))
    assert isinstance(unsaid, Refused)
    assert unsaid.unsupported
    assert unsaid.message.startswith("phrase '中': expected words that can be said")
    assert worker.handle(opened(1, phrases=("cat",))) == []
    assert worker.handle(opened(2, phrases=("cat",))) == []  # shares the list
    assert worker.handle(opened(3, phrases=("rat",))) == []
    (full,) = worker.handle(opened(4, phrases=("hat",)))
    assert isinstance(full, Refused)
    assert not full.unsupported
    assert full.message.startswith("phrases: expected at most 2 different lists at a time")
    for stream in (1, 2):
        worker.handle(Drop(stream=stream))
    assert worker.handle(opened(4, phrases=("hat",))) == []


def test_a_dropped_stream_says_nothing_more(worker: Worker, sounds: list[np.ndarray]) -> None:
    worker.handle(opened(1))
    worker.handle(audio(1, sounds[0]))
    assert worker.work()
    assert run(worker, Drop(stream=1), audio(1, sounds[0]), Flush(stream=1), Shutdown()) == []


def test_opening_again_starts_anew(
    worker: Worker, recogniser: Callable[..., Recognizer], sounds: list[np.ndarray]
) -> None:
    run(worker, opened(1), audio(1, sounds[1][:30_000]))
    answers = run(worker, opened(1), audio(1, sounds[0]), Finish(stream=1))
    assert said(segments(answers, 1)) == expected(recogniser(CHUNK_MS, silence_ms=SILENCE_MS), sounds[0])


def test_where_the_model_looked_is_told_to_those_who_ask(worker: Worker, make_audio: Callable) -> None:
    samples = make_audio(2.0, 3)
    answers = run(worker, opened(1, attention=True), opened(2), audio(1, samples), audio(2, samples))
    assert not any(a.looks for a in answers if isinstance(a, Recognised) and a.stream == 2)
    looks = [look for a in answers if isinstance(a, Recognised) and a.stream == 1 for look in a.looks]
    assert len(looks) >= 12 and all(look.frame_ms == 80.0 for look in looks)  # more: a restart hears some again
    assert any(look.labels for look in looks)
    for look in looks:
        assert len(look.weights) == len(look.labels) and 0.0 <= look.end_probability <= 1.0
        assert all(sum(row) == pytest.approx(1.0, abs=1e-4) and len(row) == 4 + 2 for row in look.weights)
