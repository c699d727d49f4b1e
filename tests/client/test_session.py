import pytest

from client.errors import (
    ClientFaultError,
    ConnectionFailedError,
    InternalError,
    InvalidAudioError,
    OverloadedError,
    ResumeWindowError,
    ServerProtocolError,
    SessionClosedError,
    TooFastError,
)
from client.session import MAX_FRAME_BYTES, Session
from client.states import State
from server.wire import (
    ACK_BYTES,
    Ack,
    Done,
    Encoding,
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
    Timing,
    decode_client,
    encode,
)
from tests.server.wire.finals import final_of

START = Start(sample_rate=16_000)
READY = Ready(session="s", resume="t0", chunk_ms=320, lookahead_ms=0, model="m")
FINAL = final_of(0, "one")


def partial(segment: int, text: str, audio_ms: int = 100) -> Partial:
    timing = Timing(queue_ms=0.0, compute_ms=0.0)
    return Partial(segment=segment, text=text, stable=0, audio_ms=audio_ms, timing=timing)


def error(code: ErrorCode) -> str:
    return encode(Error(code=code, message="so it is"))


def opened(start: Start = START) -> Session:
    session = Session(start)
    assert decode_client(session.greeting()) == start
    assert session.receive(encode(READY)) == []
    assert session.state is State.OPEN
    return session


def resumed(session: Session, received_samples: int = 0) -> Session:
    assert session.disconnected(1006, "") is None
    session.greeting()
    session.receive(
        encode(
            Ready(
                session="s",
                resume="t1",
                chunk_ms=320,
                lookahead_ms=0,
                model="m",
                received_samples=received_samples,
            )
        )
    )
    return session


def test_nothing_is_sent_before_ready() -> None:
    session = Session(START)
    session.add(b"ab")
    assert not session.has_frame
    assert session.next_frame() is None
    session.greeting()
    assert session.next_frame() is None
    session.receive(encode(READY))
    assert session.has_frame
    assert session.next_frame() == b"ab"
    assert not session.has_frame


def test_frames_are_short() -> None:
    session = opened()
    session.add(bytes(MAX_FRAME_BYTES + 6))
    assert [len(session.next_frame() or b"") for _ in range(3)] == [MAX_FRAME_BYTES, 6, 0]


def test_stop_comes_after_the_audio_and_once_a_connection() -> None:
    session = opened()
    session.add(b"ab")
    session.stop()
    assert session.next_frame() == b"ab"
    assert decode_client(str(session.next_frame())) == Stop()
    assert session.next_frame() is None
    resumed(session, 1)
    assert decode_client(str(session.next_frame())) == Stop()


def test_flush_is_sent_at_its_place_and_answered() -> None:
    session = opened()
    session.add(b"abcd")
    position = session.flush()
    assert session.next_frame() == b"abcd"
    assert decode_client(str(session.next_frame())) == Flush()
    assert not session.flushed(position)
    assert session.receive(encode(Flushed(samples=2))) == []
    assert session.flushed(position)
    assert session.flush() == position
    assert not session.has_frame


def test_a_resume_names_the_newest_token_and_the_finals() -> None:
    session = opened()
    assert session.receive(encode(FINAL)) == [FINAL]
    resumed(session)
    session.disconnected(None, "")
    assert decode_client(session.greeting()) == Resume(session="s", resume="t1", segments=1)


def test_audio_goes_on_where_the_server_stands() -> None:
    session = opened()
    session.add(b"abcdefgh")
    session.next_frame()
    session.receive(encode(Ack(samples=1)))
    assert resumed(session, 2).next_frame() == b"efgh"


@pytest.mark.parametrize("received", [0, 5])
def test_a_server_that_stands_where_it_cannot(received: int) -> None:
    session = opened()
    session.add(b"abcdefgh")
    session.next_frame()
    session.receive(encode(Ack(samples=1)))
    with pytest.raises(ServerProtocolError, match="lost count: expected from 2 to 8 received bytes"):
        resumed(session, received)
    assert session.state is State.FAILED


def test_a_resume_that_leads_to_another_session() -> None:
    session = opened()
    session.disconnected(1006, "")
    session.greeting()
    other = Ready(session="x", resume="t", chunk_ms=320, lookahead_ms=0, model="m")
    with pytest.raises(ServerProtocolError, match="got another"):
        session.receive(encode(other))


def test_what_was_told_is_not_told_again() -> None:
    session = opened()
    assert session.receive(encode(partial(0, "on"))) == [partial(0, "on")]
    assert session.receive(encode(FINAL)) == [FINAL]
    session.receive(encode(partial(1, "tw", 300)))
    resumed(session)
    for old in (FINAL, partial(0, "one"), partial(1, "tw", 300), partial(1, "t", 200)):
        assert session.receive(encode(old)) == []
    assert session.receive(encode(partial(1, "two", 400))) == [partial(1, "two", 400)]


def test_words_that_are_missing() -> None:
    with pytest.raises(ServerProtocolError, match="expected segment 0, got 1: words in between are missing"):
        opened().receive(encode(partial(1, "two")))


@pytest.mark.parametrize("message", [FINAL, Ack(samples=0), Done(samples=0, audio_ms=0, segments=0)])
def test_messages_before_ready(message: Final | Ack | Done) -> None:
    session = Session(START)
    session.greeting()
    with pytest.raises(ServerProtocolError, match=f"no {type(message).__name__} in state GREETING"):
        session.receive(encode(message))


def test_a_second_ready() -> None:
    with pytest.raises(ServerProtocolError, match="no Ready in state OPEN"):
        opened().receive(encode(READY))


def test_done_before_stop() -> None:
    with pytest.raises(ServerProtocolError, match="no end before stop"):
        opened().receive(encode(Done(samples=0, audio_ms=0, segments=0)))


def test_done() -> None:
    session = opened()
    session.stop()
    session.next_frame()
    done = Done(samples=0, audio_ms=0, segments=0)
    assert session.receive(encode(done)) == []
    assert (session.state, session.done) == (State.DONE, done)
    assert session.disconnected(1000, "") is None
    with pytest.raises(SessionClosedError):
        session.add(b"")
    with pytest.raises(SessionClosedError, match="state DONE"):
        session.greeting()


def test_done_before_stop_is_sent_again() -> None:
    session = opened()
    session.stop()
    session.next_frame()
    resumed(session)
    session.receive(encode(Done(samples=0, audio_ms=0, segments=0)))
    assert session.state is State.DONE


def test_a_container_counts_in_bytes() -> None:
    session = opened(Start(encoding=Encoding.CONTAINER))
    session.add(b"abcde")
    session.next_frame()
    room = session.room
    session.receive(encode(Ack(samples=900, bytes=3)))
    assert session.room == room + 3
    with pytest.raises(ServerProtocolError, match="expected bytes of the container"):
        session.receive(encode(Ack(samples=900)))


@pytest.mark.parametrize("code", [ErrorCode.INVALID_MESSAGE, ErrorCode.MESSAGE_TOO_BIG, ErrorCode.UNEXPECTED_MESSAGE])
def test_a_server_that_does_not_understand(code: ErrorCode) -> None:
    with pytest.raises(ClientFaultError, match="of different versions") as caught:
        opened().receive(error(code))
    assert caught.value.code is code


def test_finals_between_an_error_and_the_close() -> None:
    session = opened()
    assert session.receive(error(ErrorCode.INVALID_AUDIO)) == []
    assert session.receive(encode(FINAL)) == [FINAL]
    reason = session.disconnected(ErrorCode.INVALID_AUDIO.close_code, "")
    assert isinstance(reason, InvalidAudioError)
    assert session.state is State.FAILED


def test_totals_after_an_error() -> None:
    session = opened()
    session.receive(error(ErrorCode.INVALID_AUDIO))
    with pytest.raises(InvalidAudioError):
        session.receive(encode(Done(samples=7, audio_ms=0, segments=0)))


def test_an_error_whose_close_was_lost_is_asked_for_again() -> None:
    session = opened()
    session.receive(error(ErrorCode.INVALID_AUDIO))
    assert session.disconnected(1006, "") is None


def test_a_failed_session_that_is_gone_failed_for_the_first_reason() -> None:
    session = opened()
    session.receive(error(ErrorCode.INTERNAL))
    assert session.disconnected(1006, "") is None
    session.greeting()
    with pytest.raises(InternalError):
        session.receive(error(ErrorCode.UNKNOWN_SESSION))


def test_a_session_that_is_gone() -> None:
    session = opened()
    session.disconnected(1006, "")
    session.greeting()
    with pytest.raises(ResumeWindowError):
        session.receive(error(ErrorCode.UNKNOWN_SESSION))


def test_a_suspended_session() -> None:
    session = opened()
    session.receive(error(ErrorCode.TOO_FAST))
    assert session.disconnected(ErrorCode.TOO_FAST.close_code, "") is None
    assert session.state is State.DISCONNECTED


def test_a_first_connection_is_not_suspended() -> None:
    session = Session(START)
    session.greeting()
    assert isinstance(session.disconnected(ErrorCode.TOO_FAST.close_code, ""), TooFastError)


def test_a_full_server_is_outlasted_when_resuming_only() -> None:
    session = Session(START)
    session.greeting()
    with pytest.raises(OverloadedError):
        session.receive(error(ErrorCode.OVERLOADED))
    session = opened()
    session.disconnected(1006, "")
    session.greeting()
    assert session.receive(error(ErrorCode.OVERLOADED)) == []
    assert session.disconnected(ErrorCode.OVERLOADED.close_code, "") is None
    session.greeting()
    assert isinstance(session.disconnected(ErrorCode.SUPERSEDED.close_code, "taken"), Exception)


def test_a_close_before_ready() -> None:
    session = Session(START)
    session.greeting()
    reason = session.disconnected(1011, "sorry")
    assert isinstance(reason, ConnectionFailedError)
    assert str(reason) == "the connection ended (code 1011) before the server was ready: sorry"


def test_an_error_that_was_outlasted_is_over() -> None:
    session = opened()
    session.receive(error(ErrorCode.TOO_FAST))
    resumed(session)  # the close was lost
    session.stop()
    session.next_frame()
    session.receive(encode(Done(samples=0, audio_ms=0, segments=0)))
    assert session.state is State.DONE


def test_audio_that_ends_inside_a_sample_is_not_flushed() -> None:
    session = opened()
    session.add(b"abc")
    with pytest.raises(ValueError, match="expected a multiple of 2 bytes of pcm_s16le, got 3"):
        session.flush()
    session.add(b"d")
    assert session.flush() == 4


def test_time_kept() -> None:
    assert Session(START, pending_s=2).room == 2 * 16_000 * 2
    # Less could be full before the server acknowledges anything, and then for ever.
    assert Session(Start(sample_rate=48_000), pending_s=0.1).room == 48_000 * 2
    assert Session(Start(encoding=Encoding.CONTAINER), pending_s=0.1).room == ACK_BYTES
    with pytest.raises(ValueError, match="expected pending_s > 0, got 0"):
        Session(START, pending_s=0)
