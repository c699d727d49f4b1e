import asyncio
import math

import numpy as np
import pytest

import client
from client import (
    ConnectionFailedError,
    ConnectionLostError,
    Done,
    Encoding,
    Final,
    OverloadedError,
    Partial,
    RefusedError,
    ServerProtocolError,
    SessionClosedError,
    UnauthorizedError,
    connect,
)
from server.wire import Ack, Error, ErrorCode, encode
from tests.client.fake_server import RATE, WORD_SAMPLES, FakeServer, Fault, said, speech
from tests.client.playing import finals_of, recognised
from tests.server.wire.finals import final_of


@pytest.mark.asyncio
async def test_words_come_while_audio_goes() -> None:
    async with FakeServer() as server, connect(server.url, words=True) as session:
        assert session.connected
        assert session.ready.model == "fake"
        await session.send(speech(5))
        events = [await anext(session) for _ in range(6)]
        assert [type(e) for e in events] == [Partial] * 4 + [Final, Partial]
        assert [e.text for e in events[3:]] == [said(4), said(4), "w5"]
        assert [w.word for w in events[4].words] == ["w1", "w2", "w3", "w4"]
        assert await session.stop() == Done(samples=5 * WORD_SAMPLES, audio_ms=250, segments=2)
        assert [e.text async for e in session] == ["w5"]


@pytest.mark.asyncio
async def test_options_reach_the_server() -> None:
    async with FakeServer() as server:
        server.token = "secret"
        session = connect(
            server.url.replace("ws://", "http://"),
            sample_rate=8_000,
            encoding=Encoding.MULAW,
            token="secret",
            chunk_ms=160,
            phrases=["Ada"],
            silence_ms=900,
        )
        async with session:
            pass
        (start,) = server.greetings
        assert (start.sample_rate, start.encoding, start.chunk_ms) == (8_000, "pcm_mulaw", 160)
        assert (start.phrases, start.endpoint.silence_ms, start.words) == (("Ada",), 900, False)
        assert server.subprotocols == ["earshot.v1"]
        assert server.requests[0].path == "/v1/stream"


@pytest.mark.asyncio
async def test_arrays_are_encoded() -> None:
    async with FakeServer() as server, connect(server.url) as session:
        await session.send(np.frombuffer(speech(3), "<i2").astype(np.float32) / 32768)
        await session.stop()
        assert await finals_of(session) == [said(3)]
        assert server.session.received == speech(3)


@pytest.mark.asyncio
@pytest.mark.parametrize("audio", [np.zeros(3, np.int16), np.zeros((3, 2), np.float32)])
async def test_other_arrays_are_refused(audio: np.ndarray) -> None:
    async with FakeServer() as server, connect(server.url) as session:
        with pytest.raises(ValueError, match="expected"):
            await session.send(audio)


@pytest.mark.asyncio
async def test_flush_makes_final_and_stays_open() -> None:
    async with FakeServer() as server, connect(server.url) as session:
        await session.send(speech(2))
        await session.flush()
        await session.flush()  # nothing new: answered at once
        await session.send(speech(1, first=3))
        await session.stop()
        assert await finals_of(session) == ["w1 w2", "w3"]
        assert server.flushes == [2 * WORD_SAMPLES]


@pytest.mark.asyncio
async def test_flush_of_a_container() -> None:
    async with FakeServer() as server, connect(server.url, encoding=Encoding.CONTAINER) as session:
        with pytest.raises(ValueError, match="got a container"):
            await session.flush()


@pytest.mark.asyncio
async def test_an_error_comes_after_the_events_before_it() -> None:
    fault = Fault(error_at=1_600, error=ErrorCode.SESSION_TOO_LONG)
    async with FakeServer((fault,)) as server, connect(server.url) as session:
        await session.send(speech(2))
        with pytest.raises(RefusedError, match="start a new session for the rest") as caught:
            async for event in session:
                last = event
        assert last.text == "w1 w2"
        assert caught.value.code is ErrorCode.SESSION_TOO_LONG


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, UnauthorizedError),
        (403, RefusedError),
        (429, RefusedError),
        (503, OverloadedError),
        (404, ConnectionFailedError),
        (500, ConnectionFailedError),
    ],
)
async def test_a_refused_handshake(status: int, error: type[Exception]) -> None:
    async with FakeServer((Fault(status=status),)) as server:
        with pytest.raises(error, match=str(status)):
            async with connect(server.url):
                pytest.fail("opened")


@pytest.mark.asyncio
async def test_a_refusal_instead_of_ready() -> None:
    refusal = encode(Error(code=ErrorCode.OVERLOADED, message="8 streams of 8 are taken"))
    async with FakeServer((Fault(before_ready=(refusal,)),)) as server:
        with pytest.raises(OverloadedError, match=r"8 streams of 8 are taken \(overloaded\): try again later"):
            async with connect(server.url):
                pytest.fail("opened")


@pytest.mark.asyncio
async def test_nobody_listens() -> None:
    async with FakeServer() as server:
        url = server.url
    with pytest.raises(ConnectionFailedError, match="check the address"):
        async with connect(url):
            pytest.fail("opened")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "frame",
    ["{}", b"binary", encode(final_of(7, "gap")), encode(Ack(samples=10**9))],
    ids=["no message", "binary", "missing words", "audio never sent"],
)
async def test_a_server_that_breaks_the_protocol(frame: str | bytes) -> None:
    async with FakeServer((Fault(insert=(frame,)),)) as server:
        with pytest.raises(ServerProtocolError):
            await recognised(server, speech(5))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("samples", "segments", "text"),
    [(2_401, 1, "expected 2400 samples received in all, got 2401"), (2_400, 2, "expected 1 finals in all, got 2")],
)
async def test_a_server_that_lost_something(samples: int, segments: int, text: str) -> None:
    done = encode(Done(samples=samples, audio_ms=150, segments=segments))
    async with FakeServer((Fault(instead_of_done=(done,)),)) as server:
        with pytest.raises(ServerProtocolError, match=f"the server lost count: {text}"):
            await recognised(server, speech(3))


@pytest.mark.asyncio
async def test_sending_waits_when_nothing_is_acknowledged() -> None:
    async with FakeServer((Fault(mute=True),)) as server, connect(server.url, pending_s=1.5) as session:
        sending = asyncio.create_task(session.send(bytes(4 * RATE)))
        await server.until(lambda: server.session.samples >= 1.5 * RATE)
        assert not sending.done()
        assert server.session.samples == 1.5 * RATE
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


@pytest.mark.asyncio
async def test_audio_longer_than_what_is_kept() -> None:
    async with FakeServer() as server, asyncio.timeout(30), connect(server.url, pending_s=1.1) as session:
        await session.send(speech(100))
        done = await session.stop()
        assert done.samples == 100 * WORD_SAMPLES
        assert " ".join(await finals_of(session)) == said(100)


@pytest.mark.asyncio
async def test_use_after_stop() -> None:
    async with FakeServer() as server, connect(server.url) as session:
        await session.send(speech(1))
        done = await session.stop()
        assert await session.stop() == done
        for use in (session.send(b""), session.flush()):
            with pytest.raises(SessionClosedError, match="open another one"):
                await use


@pytest.mark.asyncio
async def test_use_before_and_after_the_block() -> None:
    async with FakeServer() as server:
        session = connect(server.url)
        for use in (session.send(b""), session.flush(), session.stop(), anext(session)):
            with pytest.raises(SessionClosedError, match="async with"):
                await use
        with pytest.raises(SessionClosedError, match="async with"):
            _ = session.ready
        async with session:
            pass
        with pytest.raises(ConnectionLostError, match="before it was stopped"):
            await session.send(b"")
        with pytest.raises(SessionClosedError, match="opened once"):
            async with session:
                pytest.fail("opened")


@pytest.mark.asyncio
async def test_an_end_inside_a_sample() -> None:
    async with FakeServer() as server, connect(server.url) as session:
        await session.send(b"123")
        for end in (session.flush, session.stop):
            with pytest.raises(ValueError, match="expected a multiple of 2 bytes of pcm_s16le, got 3"):
                async with asyncio.timeout(10):
                    await end()


@pytest.mark.parametrize(
    "options",
    [{"sample_rate": 7_999}, {"sample_rate": None}, {"chunk_ms": 0}, {"phrases": [""]}, {"pending_s": math.nan}],
)
def test_options_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"\d|required"):
        connect("localhost", **options)


def test_public_names() -> None:
    for name in client.__all__:
        assert getattr(client, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        _ = client.nothing
