import pytest

from server.session.recognition import Recognition
from server.worker import messages as worker
from tests.server.session.making import audio

OPENING = worker.Open(stream=3, chunk_ms=320, silence_ms=600, phrases=("a",))


def test_replay_repeats_phrases_and_unanswered_flushes_at_their_places() -> None:
    recognition = Recognition(OPENING)
    recognition.audio(audio(0.1))
    recognition.flush(4_800)
    recognition.flush(4_800)
    recognition.audio(audio(0.2))
    recognition.finish()
    assert recognition.flushed(800) == 4_800
    recognition.connected = False
    first, *rest = recognition.replay(segment=2)
    assert first == worker.Open(stream=3, chunk_ms=320, silence_ms=600, phrases=("a",), position=800, segment=2)
    assert [type(message) for message in rest] == [worker.Audio, worker.Flush, worker.Audio, worker.Finish]
    assert [len(message.samples) // 4 for message in rest if isinstance(message, worker.Audio)] == [800, 3_200]


def test_a_flush_whose_audio_is_forgotten_is_repeated_at_once() -> None:
    recognition = Recognition(OPENING)
    recognition.audio(audio(0.1))
    recognition.flush(1_600)
    recognition.recognised(position=1_600, keep_from=1_600)
    assert [type(message) for message in recognition.replay(segment=1)] == [worker.Open, worker.Flush]


def test_another_worker_is_told_where_the_open_segment_begins() -> None:
    recognition = Recognition(OPENING)
    recognition.audio(audio(3.0))
    recognition.recognised(position=40_000, keep_from=8_000, segment_ms=2_100, begun_ms=2_500)
    first, *_ = recognition.replay(segment=4)
    assert isinstance(first, worker.Open)
    assert (first.position, first.segment, first.segment_ms, first.begun_ms) == (8_000, 4, 2_100, 2_500)
    recognition.flush(48_000)
    recognition.flushed(48_000)
    first, *_ = recognition.replay(segment=5)
    assert isinstance(first, worker.Open)
    assert (first.position, first.segment, first.segment_ms, first.begun_ms) == (48_000, 5, 0, 0)


def test_nothing_goes_to_a_lost_worker() -> None:
    recognition = Recognition(OPENING)
    recognition.connected = False
    sending = [recognition.audio(audio(0.1)), recognition.flush(1), recognition.finish(), recognition.drop()]
    assert sending == [[], [], [], []]


def test_backlog_is_what_no_worker_has_recognised() -> None:
    recognition = Recognition(OPENING)
    recognition.audio(audio(2.0))
    assert (recognition.backlog_s, recognition.held_s) == (2.0, 0.0)
    recognition.recognised(position=24_000, keep_from=8_000)
    assert (recognition.backlog_s, recognition.held_s) == (0.5, 1.0)
    recognition.connected = False
    recognition.replay(segment=0)
    assert recognition.backlog_s == 0.5, "hearing again is not the client's doing"
    recognition.recognised(position=16_000, keep_from=8_000)
    assert recognition.position == 24_000
    recognition.recognised(position=40_000, keep_from=8_000)  # the last block is filled up with silence
    assert recognition.backlog_s == 0


def test_an_answer_without_a_flush_is_an_error() -> None:
    with pytest.raises(ValueError, match="no flush"):
        Recognition(OPENING).flushed(0)


def test_samples_that_come_singly_go_to_the_worker_together() -> None:
    recognition, samples = Recognition(OPENING), audio(0.0125)
    sending = [recognition.audio(samples[n : n + 1]) for n in range(200)]
    assert [n for n, messages in enumerate(sending) if messages] == [159]
    rest, flush = recognition.flush(200)
    assert isinstance(rest, worker.Audio) and rest.samples == samples[160:].tobytes()
    assert flush == worker.Flush(stream=3)
    recognition.audio(samples[:5])
    recognition.connected = False
    assert recognition.finish() == []
    _, again, *_ = recognition.replay(segment=0)
    assert isinstance(again, worker.Audio) and again.samples == samples.tobytes()
