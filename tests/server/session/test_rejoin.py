import numpy as np
import pytest

from server.session import Close, Forget, Identity, Send, Session, State, Takeover, rejoin
from server.wire import Error, ErrorCode, Ready, Resume, Start, encode
from tests.server.session.fake_worker import STARTED
from tests.server.session.making import LIMITS


def connect(stream: int, name: str = "alice") -> Session:
    return Session(stream, Identity(name), LIMITS, 0.0, STARTED)


def opened(stream: int) -> tuple[Session, str]:
    session = connect(stream)
    (_, send) = session.receive_text(encode(Start(sample_rate=16_000)), 0.0)
    assert isinstance(send, Send) and isinstance(send.message, Ready)
    return session, send.message.resume


def test_the_connection_goes_over_to_the_session_that_it_names() -> None:
    lost, token = opened(1)
    lost.receive_audio(np.zeros(800, np.float32), 800, 0.0)
    lost.disconnected(1.0)
    asking = connect(2)
    message = Resume(session=lost.id, resume=token)
    session, actions = rejoin(asking, {lost.id: lost, asking.id: asking}, message, 2.0)
    assert session is lost and isinstance(actions[0], Takeover)
    assert (lost.state, asking.state) == (State.OPEN, State.DONE)


@pytest.mark.parametrize("case", ["token", "session", "of another", "itself", "swapped"])
def test_whatever_is_wrong_gets_the_same_answer_and_disturbs_nobody(case: str) -> None:
    lost, token = opened(1)
    other, _ = opened(3)
    lost.disconnected(1.0)
    asking = connect(2, "bob" if case == "of another" else "alice")
    names = {"session": "nobody", "itself": asking.id, "swapped": other.id}
    message = Resume(session=names.get(case, lost.id), resume="wrong" if case == "token" else token)
    sessions = {session.id: session for session in (lost, other, asking)}
    session, actions = rejoin(asking, sessions, message, 2.0)
    assert session is asking and asking.state is State.DONE
    text = "expected a session and its latest token, within the time for resuming: start a new session"
    assert actions == [Send(Error(code=ErrorCode.UNKNOWN_SESSION, message=text)), Close(4404, text), Forget()]
    assert (lost.state, other.state) == (State.DETACHED, State.OPEN)
    assert lost.resumed(Resume(session=lost.id, resume=token), Identity("alice"), 3.0)
