"""Lost connections: the session goes on as if nothing had been."""

import asyncio

import pytest

from client import (
    Backoff,
    ConnectionFailedError,
    ConnectionLostError,
    Encoding,
    ResumeWindowError,
    UnauthorizedError,
    connect,
)
from client.api import LiveSession
from client.dial import dialer
from client.session import Session
from server.wire import ErrorCode, Resume, Start
from tests.client.fake_server import RATE, WORD_SAMPLES, FakeServer, Fault, said, speech
from tests.client.playing import QUICK, finals_of, recognised


def impatient(server: FakeServer, timeout_s: float) -> LiveSession:
    """A session that has time for connecting, but little for waiting until it is ready."""
    dial = dialer(f"{server.url}/v1/stream", token=None, tls=None, timeout_s=10, ping_s=20)
    return LiveSession(Session(Start(sample_rate=RATE)), dial, QUICK, timeout_s)


@pytest.mark.asyncio
@pytest.mark.parametrize("at", [0, 1, 777, 800, 1600, 3200, 3300, 7_999, 8_000])
async def test_a_lost_connection_loses_and_doubles_nothing(at: int) -> None:
    async with FakeServer((Fault(abort_at=at),)) as server:
        assert await recognised(server, speech(13)) == said(13)
        assert [type(greeting) for greeting in server.greetings] == [Start, Resume]
        assert server.session.received == speech(13)


@pytest.mark.asyncio
async def test_one_lost_connection_after_another() -> None:
    faults = tuple(Fault(abort_at=at, repeat=True) for at in range(0, 20_000, 1_111))
    async with FakeServer(faults) as server:
        assert await recognised(server, speech(25)) == said(25)
        assert len(server.greetings) == len(faults) + 1


@pytest.mark.asyncio
async def test_a_connection_lost_in_the_middle_of_a_sample() -> None:
    async with FakeServer((Fault(abort_at=1_000.5),)) as server:
        assert await recognised(server, speech(5)) == said(5)


@pytest.mark.asyncio
async def test_a_connection_lost_while_resuming() -> None:
    faults = (Fault(abort_at=1_000), Fault(before_ready=("abort",)), Fault(status=502), Fault(status=503))
    async with FakeServer(faults) as server:
        assert await recognised(server, speech(5)) == said(5)
        assert len(server.greetings) == 3


@pytest.mark.asyncio
async def test_a_connection_lost_after_stop() -> None:
    async with FakeServer((Fault(abort_at_stop=True),)) as server:
        assert await recognised(server, speech(6)) == said(6)


@pytest.mark.asyncio
async def test_totals_lost_with_the_connection() -> None:
    async with FakeServer((Fault(instead_of_done=("abort",)),)) as server:
        assert await recognised(server, speech(6)) == said(6)
        assert len(server.greetings) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
async def test_a_server_that_closes_without_a_reason_is_asked_again(code: int) -> None:
    async with FakeServer((Fault(close_at=1_600, close_code=code),)) as server:
        assert await recognised(server, speech(6)) == said(6)


@pytest.mark.asyncio
@pytest.mark.parametrize("code", [ErrorCode.TOO_FAST, ErrorCode.TOO_SLOW])
async def test_a_suspended_session_is_resumed(code: ErrorCode) -> None:
    async with FakeServer((Fault(error_at=1_600, error=code),)) as server:
        assert await recognised(server, speech(6)) == said(6)


@pytest.mark.asyncio
async def test_a_suspended_session_whose_error_got_lost_is_resumed() -> None:
    async with FakeServer((Fault(close_at=1_600, close_code=ErrorCode.TOO_SLOW.close_code),)) as server:
        assert await recognised(server, speech(6)) == said(6)


@pytest.mark.asyncio
async def test_a_container_resumes_from_its_bytes() -> None:
    async with FakeServer((Fault(abort_at=1_001),)) as server:
        options = {"encoding": Encoding.CONTAINER, "sample_rate": None}
        assert await recognised(server, speech(6), **options) == said(6)
        assert server.session.received == speech(6)


@pytest.mark.asyncio
async def test_a_flush_lost_with_the_connection_is_sent_again() -> None:
    async with FakeServer((Fault(abort_at=2 * WORD_SAMPLES - 1),)) as server:
        async with asyncio.timeout(30), connect(server.url, backoff=QUICK) as session:
            await session.send(speech(2))
            await session.flush()
            await session.send(speech(1, first=3))
            await session.stop()
            assert await finals_of(session) == ["w1 w2", "w3"]
        assert server.flushes == [2 * WORD_SAMPLES]


@pytest.mark.asyncio
async def test_the_time_for_resuming_is_over() -> None:
    async with FakeServer((Fault(abort_at=4_000),)) as server:
        server.forgetful = True
        async with connect(server.url, backoff=QUICK) as session:
            await session.send(speech(6))
            with pytest.raises(ResumeWindowError, match="start a new session and send again") as caught:
                await session.stop()
            assert caught.value.code is ErrorCode.UNKNOWN_SESSION
            with pytest.raises(ResumeWindowError):
                await session.send(b"")


@pytest.mark.asyncio
async def test_the_server_does_not_come_back() -> None:
    async with FakeServer((Fault(abort_at=0), *[Fault(status=502)] * 1_000)) as server:
        backoff = Backoff(first_s=0.001, longest_s=0.002, give_up_s=0.02)
        async with asyncio.timeout(30), connect(server.url, backoff=backoff) as session:
            await session.send(speech(1))
            with pytest.raises(ConnectionLostError, match=r"no connection for 0 s; the last attempt: .*502"):
                await session.stop()


@pytest.mark.asyncio
async def test_a_token_that_is_no_longer_good() -> None:
    faults = (Fault(abort_at=0), Fault(status=401))
    async with asyncio.timeout(30), FakeServer(faults) as server, connect(server.url, backoff=QUICK) as session:
        await session.send(speech(1))
        with pytest.raises(UnauthorizedError):
            await session.stop()


@pytest.mark.asyncio
async def test_a_connection_lost_before_ready() -> None:
    async with FakeServer((Fault(before_ready=("abort",)),)) as server:
        with pytest.raises(ConnectionFailedError, match="before the server was ready"):
            async with connect(server.url):
                pytest.fail("opened")


@pytest.mark.asyncio
async def test_a_server_that_does_not_answer() -> None:
    async with FakeServer((Fault(before_ready=()),)) as server:
        with pytest.raises(ConnectionFailedError, match=r"no answer within 0\.01 s"):
            async with impatient(server, 0.01):
                pytest.fail("opened")


@pytest.mark.asyncio
async def test_a_server_that_does_not_answer_a_resume_is_asked_again() -> None:
    async with FakeServer((Fault(abort_at=1_000), Fault(before_ready=()))) as server:
        async with asyncio.timeout(30), impatient(server, 0.5) as session:
            await session.send(speech(5))
            await session.stop()
            assert await finals_of(session) == [said(4), "w5"]
        assert len(server.greetings) == 3
