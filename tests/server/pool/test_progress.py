import pytest

from server.pool.progress import Progress
from server.worker.messages import (
    Audio,
    Drop,
    Finish,
    Finished,
    Flush,
    Flushed,
    FromWorker,
    Open,
    Recognised,
    Refused,
    ToWorker,
)

CHUNK = 5120  # samples in 320 ms


def opened(stream: int = 1, position: int = 0) -> Open:
    return Open(stream=stream, chunk_ms=320, silence_ms=600, position=position)


def audio(samples: int, stream: int = 1) -> Audio:
    return Audio(stream=stream, samples=bytes(4 * samples))


def recognised(position: int, stream: int = 1) -> Recognised:
    return Recognised(stream=stream, events=(), position=position, keep_from=0, queue_ms=0.0, compute_ms=0.0, batch=1)


def following(*sent: ToWorker) -> Progress:
    """What follows those messages, all sent at 10 s."""
    progress = Progress()
    for message in sent:
        progress.sent(message, 10.0)
    return progress


def test_nothing_is_owed_before_anything_was_sent() -> None:
    assert following().silent_s(1e9) == 0.0
    assert following(opened()).silent_s(1e9) == 0.0


@pytest.mark.parametrize(("samples", "silent_s"), [(2 * CHUNK - 1, 0.0), (2 * CHUNK, 5.0)])
def test_audio_is_owed_an_answer_after_a_chunk_and_one_of_grace(samples: int, silent_s: float) -> None:
    assert following(opened(), audio(samples)).silent_s(15.0) == silent_s


def test_look_ahead_comes_on_top() -> None:
    progress = Progress()
    progress.lookahead_ms = 320
    progress.sent(opened(), 0.0)
    progress.sent(audio(3 * CHUNK - 1), 1.0)
    assert progress.silent_s(9.0) == 0.0
    progress.sent(audio(1), 2.0)
    assert progress.silent_s(9.0) == 7.0


@pytest.mark.parametrize("end", [Flush(stream=1), Finish(stream=1)])
def test_an_end_is_owed_an_answer(end: ToWorker) -> None:
    assert following(opened(), end).silent_s(11.0) == 1.0


@pytest.mark.parametrize(
    ("end", "answer"),
    [
        (Flush(stream=1), Flushed(stream=1, keep_from=0)),
        (Finish(stream=1), Finished(stream=1)),
        (Finish(stream=1), Refused(stream=1, message="")),
    ],
)
def test_its_answer_settles_it(end: ToWorker, answer: FromWorker) -> None:
    progress = following(opened(), audio(3 * CHUNK), end)
    progress.received(answer, 12.0)
    assert progress.silent_s(99.0) == 0.0


def test_every_flush_is_counted() -> None:
    progress = following(opened(), Flush(stream=1), Flush(stream=1))
    progress.received(Flushed(stream=1, keep_from=0), 12.0)
    assert progress.silent_s(13.0) == 1.0


def test_recognised_audio_is_settled() -> None:
    progress = following(opened(position=CHUNK), audio(3 * CHUNK))
    progress.received(recognised(2 * CHUNK), 11.0)
    assert progress.silent_s(12.0) == 1.0
    progress.received(recognised(3 * CHUNK), 12.0)
    assert progress.silent_s(99.0) == 0.0


def test_audio_that_was_recognised_again_is_no_debt() -> None:
    progress = following(opened(), audio(3 * CHUNK))
    for _ in range(2):  # a segment's end makes recognition go back
        progress.received(recognised(CHUNK), 11.0)
    assert progress.silent_s(99.0) == 0.0


def test_an_answer_to_one_stream_is_progress_for_all() -> None:
    progress = following(opened(1), opened(2), Flush(stream=1), Flush(stream=2))
    progress.received(Flushed(stream=1, keep_from=0), 50.0)
    assert progress.silent_s(51.0) == 1.0


def test_a_dropped_stream_is_owed_nothing() -> None:
    assert following(opened(), Flush(stream=1), Drop(stream=1)).silent_s(99.0) == 0.0


def test_messages_of_unknown_streams_change_nothing() -> None:
    progress = following(audio(9 * CHUNK), Flush(stream=1))
    progress.received(recognised(CHUNK), 11.0)
    progress.received(Flushed(stream=1, keep_from=0), 11.0)
    assert progress.silent_s(99.0) == 0.0
