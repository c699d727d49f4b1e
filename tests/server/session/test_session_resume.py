"""The session when its connection is lost and comes back."""

import pytest

from server.session import Close, Forget, Identity, Rejoin, Session, State, Takeover, ToWorker
from server.wire import (
    Done,
    Error,
    ErrorCode,
    Final,
    Flush,
    Flushed,
    Partial,
    Ready,
    Resume,
    Start,
    Stop,
    WireError,
    encode,
)
from server.worker import messages as worker
from tests.server.session.making import audio, recognised, segment, sent

ALICE = Identity("alice")
START = encode(Start(sample_rate=16_000))
FLUSH, STOP = encode(Flush()), encode(Stop())


def closes(actions: list) -> list[int]:
    return [action.code for action in actions if isinstance(action, Close)]


def errors(actions: list) -> list[ErrorCode]:
    return [message.code for message in sent(actions) if isinstance(message, Error)]


def resume(token: str = "token-1", segments: int = 0) -> Resume:
    return Resume(session="token-0", resume=token, segments=segments)


def test_a_lost_session_goes_on_and_its_client_is_told_what_it_missed(session: Session) -> None:
    session.receive_audio(audio(0.5), 8_000, 0.0)
    session.from_worker(recognised(segment(0, "a"), position=1_600, keep_from=1_600), 0.1)
    assert session.disconnected(1.0) == []
    assert session.state is State.DETACHED
    assert session.from_worker(recognised(segment(1, "b"), position=3_200, keep_from=3_200), 1.1) == []
    partial = worker.Hypothesis(segment=2, text="c", stable=0)
    assert session.from_worker(recognised(partial, position=4_800), 1.2) == []
    actions = session.resumed(resume(segments=1), ALICE, 2.0)
    assert actions[0] == Takeover(4409, "resumed on another connection")
    ready, final, again = sent(actions)
    assert isinstance(ready, Ready) and (ready.resume, ready.received_samples) == ("token-2", 8_000)
    assert isinstance(final, Final) and final.text == "b"
    assert isinstance(again, Partial) and again.text == "c"
    assert session.state is State.OPEN


def test_a_client_may_come_back_before_the_server_knows_that_it_was_gone(session: Session) -> None:
    actions = session.resumed(resume(), ALICE, 1.0)
    assert isinstance(actions[0], Takeover) and session.state is State.OPEN


def test_the_latest_flush_is_answered_again(session: Session) -> None:
    session.receive_text(FLUSH, 0.0)
    session.disconnected(0.1)
    session.from_worker(worker.Flushed(stream=7, keep_from=0), 0.2)
    assert sent(session.resumed(resume(), ALICE, 0.3))[-1] == Flushed(samples=0)


def test_done_is_told_again_to_a_client_that_missed_it(session: Session) -> None:
    session.receive_text(STOP, 0.0)
    session.audio_finished(audio(0.1), 1_600, 0.0)
    session.disconnected(0.1)
    assert session.state is State.STOPPING_DETACHED
    session.from_worker(recognised(segment(0, "a"), position=1_600, keep_from=1_600), 0.2)
    assert session.from_worker(worker.Finished(stream=7), 0.2) == []
    assert session.state is State.FINISHED_DETACHED and not session.active
    for n in (1, 2):
        actions = session.resumed(resume(f"token-{n}"), ALICE, 0.3)
        _, final, done = sent(actions)
        assert isinstance(final, Final) and done == Done(samples=1_600, audio_ms=100, segments=1)
        assert closes(actions) == [1000] and session.state is State.FINISHED
        assert session.disconnected(0.4) == []  # no close frame: it may not have read it
    session.resumed(resume("token-3"), ALICE, 0.5)
    assert session.disconnected(0.6, 1000) == [Forget()]


@pytest.mark.parametrize(
    ("message", "identity"),
    [
        (resume("token-9"), ALICE),
        (resume("token-0"), ALICE),
        (resume(), Identity("bob")),
        (resume("\u00e9"), ALICE),
    ],
)
def test_a_wrong_token_or_another_identity_changes_nothing(
    session: Session, message: Resume, identity: Identity
) -> None:
    session.disconnected(0.0)
    with pytest.raises(WireError, match="start a new session") as caught:
        session.resumed(message, identity, 0.1)
    assert caught.value.code is ErrorCode.UNKNOWN_SESSION
    assert session.state is State.DETACHED
    assert session.resumed(resume(), ALICE, 0.2)


def test_a_token_is_spent_once_the_client_shows_that_it_has_the_next(session: Session) -> None:
    session.disconnected(0.0)
    session.resumed(resume("token-1"), ALICE, 0.1)
    session.resumed(resume("token-1"), ALICE, 0.2)  # the connection broke before `ready` was read
    session.receive_audio(audio(0.1), 1_600, 0.3)
    with pytest.raises(WireError):
        session.resumed(resume("token-1"), ALICE, 0.4)
    with pytest.raises(WireError):
        session.resumed(resume("token-2"), ALICE, 0.4)  # never used, and there is a newer one
    assert session.resumed(resume("token-3"), ALICE, 0.5)


@pytest.mark.parametrize("segments", [1, 2**53])
def test_a_client_cannot_have_finals_that_there_are_not(session: Session, segments: int) -> None:
    with pytest.raises(WireError, match=f"from 0 to 0, got {segments}"):
        session.resumed(resume(segments=segments), ALICE, 0.1)
    assert session.resumed(resume(), ALICE, 0.2)


def test_nothing_resumes_what_was_never_open_or_is_over(opening: Session) -> None:
    with pytest.raises(WireError):
        opening.resumed(resume(), ALICE, 0.0)
    opening.receive_text(START, 0.0)
    opening.disconnected(0.0, 1000)
    assert opening.state is State.DONE
    with pytest.raises(WireError):
        opening.resumed(resume(), ALICE, 0.0)


def test_a_client_that_closes_in_order_is_not_waited_for(session: Session) -> None:
    assert session.disconnected(0.0, 1000) == [ToWorker(worker.Drop(stream=7)), Forget()]


def test_a_browser_that_goes_away_may_come_back(session: Session) -> None:
    assert session.disconnected(0.0, 1001) == []
    assert session.state is State.DETACHED
    assert session.disconnected(0.0) == []


def test_audio_that_was_being_decoded_when_the_connection_broke_is_kept(session: Session) -> None:
    session.disconnected(0.0)
    session.receive_audio(audio(0.6), 9_600, 0.1)
    (ready,) = sent(session.resumed(resume(), ALICE, 0.2))
    assert isinstance(ready, Ready) and ready.received_samples == 9_600


def test_a_connection_may_ask_for_another_session(opening: Session) -> None:
    assert opening.receive_text(encode(resume()), 0.0) == [Rejoin(resume())]
    assert opening.state is State.OPENING
