"""The session at its limits of time, audio and events."""

import math

import numpy as np
import pytest

from server.session import Action, Close, FinishAudio, Forget, Identity, Session, State, ToWorker
from server.wire import (
    Done,
    Error,
    ErrorCode,
    Final,
    Flush,
    Ready,
    Resume,
    Start,
    Stop,
    WireError,
    encode,
)
from server.worker import messages as worker
from tests.server.session.making import LIMITS, audio, recognised, segment, sent, to_worker

ALICE = Identity("alice")
START = encode(Start(sample_rate=16_000))
FLUSH, STOP = encode(Flush()), encode(Stop())


def closes(actions: list) -> list[int]:
    return [action.code for action in actions if isinstance(action, Close)]


def errors(actions: list) -> list[ErrorCode]:
    return [message.code for message in sent(actions) if isinstance(message, Error)]


def resume(token: str = "token-1", segments: int = 0) -> Resume:
    return Resume(session="token-0", resume=token, segments=segments)


def test_a_silent_client_is_told_and_its_words_are_made_final(session: Session) -> None:
    session.receive_audio(audio(0.1), 1_600, 5.0)
    assert session.next_deadline() == 15.0
    assert session.tick(14.9) == []
    actions = session.tick(15.0)
    assert errors(actions) == [ErrorCode.IDLE_TIMEOUT] and actions[-1] == FinishAudio()
    assert session.receive_audio(audio(0.1), 3_200, 15.1) == []  # it did not know yet
    assert session.receive_text(FLUSH, 15.1) == session.receive_text("{", 15.1) == []
    session.audio_finished(np.zeros(0, np.float32), 1_600, 15.1)
    actions = session.from_worker(worker.Finished(stream=7), 15.2)
    assert sent(actions) == [Done(samples=1_600, audio_ms=100, segments=0)]
    assert closes(actions) == [4408]


def test_a_connection_that_says_nothing_is_closed(opening: Session) -> None:
    assert opening.next_deadline() == 10.0
    actions = opening.tick(10.0)
    assert errors(actions) == [ErrorCode.IDLE_TIMEOUT] and closes(actions) == [4408] and actions[-1] == Forget()
    assert opening.next_deadline() == math.inf
    assert opening.tick(99.0) == []


def test_a_session_ends_in_order_when_it_is_too_long(session: Session) -> None:
    for second in range(0, 100, 5):
        session.receive_text(FLUSH, float(second))
        session.from_worker(worker.Flushed(stream=7, keep_from=0), float(second))
        session.sent(float(second))
    assert session.tick(99.9) == []
    actions = session.tick(100.0)
    assert errors(actions) == [ErrorCode.SESSION_TOO_LONG] and session.state is State.STOPPING
    session.audio_finished(np.zeros(0, np.float32), 0, 100.0)
    assert closes(session.from_worker(worker.Finished(stream=7), 100.1)) == [4413]


def test_nobody_waits_longer_for_a_client_than_the_limit(session: Session) -> None:
    session.disconnected(5.0)
    assert session.next_deadline() == 25.0
    assert session.tick(24.9) == []
    assert session.tick(25.0) == [ToWorker(worker.Drop(stream=7)), Forget()]
    with pytest.raises(WireError):
        session.resumed(resume(), ALICE, 25.1)


def test_a_client_that_never_answers_the_close_is_forgotten(session: Session) -> None:
    session.receive_text(STOP, 0.0)
    session.audio_finished(np.zeros(0, np.float32), 0, 0.0)
    session.from_worker(worker.Finished(stream=7), 1.0)
    assert session.next_deadline() == 21.0
    assert session.tick(21.0) == [Forget()]


def test_without_a_worker_for_too_long_the_session_is_given_up(session: Session) -> None:
    session.receive_text(FLUSH, 0.0)
    session.worker_lost(1.0)
    session.receive_text(STOP, 9.0)
    actions = session.tick(16.0)
    assert errors(actions) == [ErrorCode.OVERLOADED] and closes(actions) == [1013]
    assert to_worker(actions) == [] and actions[-1] == Forget()


def lose_worker(session: Session, now: float) -> list[Action]:
    actions = session.worker_lost(now)
    return actions or session.worker_ready(now)


def test_a_session_that_ends_every_worker_is_ended(session: Session) -> None:
    session.receive_audio(audio(1.0), 16_000, 0.0)
    for death in range(LIMITS.deaths):
        assert to_worker(lose_worker(session, float(death)))
    actions = lose_worker(session, 9.0)
    assert errors(actions) == [ErrorCode.INTERNAL] and closes(actions) == [1011]
    assert to_worker(actions) == [] and actions[-1] == Forget()
    assert session.fault == f"{LIMITS.deaths + 1} workers lost in a row"


def test_a_session_that_goes_on_survives_any_number_of_workers(session: Session) -> None:
    for second in range(3 * LIMITS.deaths):
        session.receive_audio(audio(1.0), 16_000 * (second + 1), float(second))
        assert to_worker(lose_worker(session, float(second)))
        position = 16_000 * (second + 1)
        session.from_worker(recognised(position=position, keep_from=position), float(second))


def test_a_fast_sender_is_held_back_then_suspended_and_loses_nothing(session: Session) -> None:
    assert not session.full
    session.receive_audio(audio(2.5), 40_000, 0.0)
    assert session.full and session.backlog_s == 2.5
    assert session.tick(60.0) == []  # it is not idle: nobody listens
    actions = session.receive_audio(audio(3), 88_000, 60.0)
    assert errors(actions) == [ErrorCode.TOO_FAST] and closes(actions) == [4421]
    assert session.state is State.DETACHED
    ready = sent(session.resumed(resume(), ALICE, 61.0))[0]
    assert isinstance(ready, Ready) and ready.received_samples == 88_000
    session.from_worker(recognised(position=88_000, keep_from=88_000), 62.0)
    assert not session.full and session.backlog_s == 0


def test_too_many_flushes_are_too_fast(session: Session) -> None:
    for _ in range(8):
        assert errors(session.receive_text(FLUSH, 0.0)) == []
    actions = session.receive_text(FLUSH, 0.0)
    assert errors(actions) == [ErrorCode.TOO_FAST] and closes(actions) == [4421]


def test_a_slow_reader_is_spared_partials_then_suspended(session: Session) -> None:
    session.sent(0.0)
    session.receive_audio(audio(1), 16_000, 0.0)
    for n in range(4):
        session.from_worker(recognised(segment(n, "a"), position=1_600, keep_from=1_600), 0.0)
    partial = worker.Hypothesis(segment=4, text="b", stable=0)
    assert session.from_worker(recognised(partial, position=3_200), 0.0) == []
    for n in range(4, 7):
        assert len(sent(session.from_worker(recognised(segment(n, "a"), position=1_600), 0.0))) == 1
    actions = session.from_worker(recognised(segment(7, "a"), position=1_600), 0.0)
    assert actions[-1] == Close(4420, "events were not read: resume", abort=True)
    assert session.state is State.DETACHED
    missed = sent(session.resumed(resume(segments=0), ALICE, 1.0))
    assert [m.segment for m in missed if isinstance(m, Final)] == list(range(8))
    assert session.state is State.OPEN  # though as much as may wait is on its way


def test_what_was_written_does_not_count(session: Session) -> None:
    for n in range(50):
        (final,) = sent(session.from_worker(recognised(segment(n, "a"), position=0), 0.0))
        assert isinstance(final, Final)
        assert session.sent(0.0) == []
    assert session.state is State.OPEN


def test_finals_that_are_not_kept_cannot_be_missed(session: Session) -> None:
    for n in range(9):
        session.from_worker(recognised(segment(n, "a"), position=0), 0.0)
        session.sent(0.0)
    with pytest.raises(WireError, match="from 1 to 9, got 0") as caught:
        session.resumed(resume(segments=0), ALICE, 0.1)
    assert caught.value.code is ErrorCode.UNKNOWN_SESSION
    assert session.resumed(resume(segments=1), ALICE, 0.2)
