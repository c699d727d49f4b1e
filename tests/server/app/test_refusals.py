"""Whatever one client does wrong, it is told, and the others go on as if nothing had happened."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from server.wire import Encoding, Error, Flush, Start, Stop, encode

pytestmark = pytest.mark.asyncio

START = encode(Start(sample_rate=16_000))


@contextlib.asynccontextmanager
async def a_bystander(run: Any, data: bytes) -> AsyncIterator[None]:
    """Talks before and after, and must get what it always gets."""
    expected = await run.transcribe(data)
    async with run.connect() as client:
        await client.start()
        await client.audio(data[: len(data) // 2])
        yield
        await client.audio(data[len(data) // 2 :])
        await client.stop()
    assert client.finals == expected


@pytest.mark.parametrize(
    ("frames", "code", "close_code"),
    [
        (["nonsense"], "invalid_message", 1007),
        (['{"type":"start"}'], "invalid_message", 1007),
        (['{"type":"start","sample_rate":16000,"colour":1}'], "invalid_message", 1007),
        (['{"type":"begin"}'], "invalid_message", 1007),
        (['{"type":"start","sample_rate":1e99}'], "invalid_message", 1007),
        (["[" * 60_000], "invalid_message", 1007),
        ([b"\x00\x01"], "unexpected_message", 1002),
        ([encode(Stop())], "unexpected_message", 1002),
        (['{"type":"start","sample_rate":16000,"chunk_ms":77}'], "unsupported", 1003),
        (['{"type":"start","sample_rate":16000,"phrases":["unsupported"]}'], "unsupported", 1003),
        (['{"type":"resume","session":"x","resume":"y"}'], "unknown_session", 4404),
        (['"' + "x" * 70_000 + '"'], "message_too_big", 1009),
        ([START, bytes(5000)], "message_too_big", 1009),
        ([START, *["nonsense"] * 11], "invalid_message", 1007),
        ([START, *[START] * 11], "unexpected_message", 1002),
        (
            [encode(Start(encoding=Encoding.CONTAINER)), b"this is no container, whatever it is" * 20, encode(Stop())],
            "invalid_audio",
            4415,
        ),
        ([encode(Start(sample_rate=8000, encoding=Encoding.F32LE)), b"\x00\x00\xc0\x7f"], "invalid_audio", 4415),
    ],
)
async def test_a_refusal_is_told_and_disturbs_nobody(
    start_server: Any, speech: Callable[..., bytes], frames: list[str | bytes], code: str, close_code: int
) -> None:
    run = await start_server(frame_bytes=4096)
    async with a_bystander(run, speech(1.5)), run.connect() as client:
        for frame in frames:
            await client.websocket.send(frame)
        assert await client.refused() == (code, close_code)
        assert await run.metric(f'earshot_refusals_total{{code="{code}"}}') >= 1
    await run.quiet()
    assert run.pool.streams == 0


@pytest.mark.parametrize(
    ("data", "close_code"),
    [
        (b"\x81\x8d" + bytes(4) + b'{"type":"\xffo"}', 1007),  # no UTF-8: the websocket fails before there is a message
        (b"\x82\xff" + (200_000).to_bytes(8, "big") + bytes(4) + bytes(200_000), 1009),  # longer than is read at all
        (b"\x82\xff" + (2**62).to_bytes(8, "big") + bytes(4), 1009),
        (b"\xff" * 50, 1002),
        (b"\x82\x02ab", 1002),  # not masked
    ],
)
async def test_frames_that_are_none_fail_the_connection(
    start_server: Any, speech: Callable[..., bytes], data: bytes, close_code: int
) -> None:
    run = await start_server(frame_bytes=4096)
    async with a_bystander(run, speech(1.5)):
        assert await close_code_after(run, data) == close_code


async def close_code_after(run: Any, data: bytes) -> int:
    """The close code that the server answers some bytes with, sent after the handshake and a good `start`."""
    start = b'{"type":"start","sample_rate":16000}'
    reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
    writer.write(
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    )
    async with asyncio.timeout(30):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(bytes([0x81, 0x80 | len(start)]) + bytes(4) + start + data)
        while True:
            opcode, length = await reader.readexactly(2)
            if length == 126:
                length = int.from_bytes(await reader.readexactly(2), "big")
            payload = await reader.readexactly(length)
            if opcode == 0x88:
                writer.close()
                return int.from_bytes(payload[:2], "big")


async def test_an_open_session_survives_what_it_did_wrong(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    data = speech(1.0)
    async with run.connect() as client:
        await client.start()
        await client.audio(data[:16_000])
        for frame in ("nonsense", START, '{"type":"flush","now":true}'):
            await client.websocket.send(frame)
            assert isinstance(await client.until(Error), Error)
        await client.audio(data[16_000:])
        await client.stop()
    assert client.finals == await run.transcribe(data)


async def test_a_container_that_breaks_off_is_told_after_what_came_before(
    start_server: Any, samples_folder: Any
) -> None:
    run = await start_server()
    data = (samples_folder / "common_voice_en_37228932.opus").read_bytes()
    transcripts = []
    for frame in (777, len(data)):
        async with run.connect() as client:
            await client.start(encoding=Encoding.CONTAINER, sample_rate=None)
            await client.audio(data[: len(data) // 2] + bytes(3000), frame)
            await client.send(Stop())
            code, close_code = await client.refused()
        assert (code, close_code) == ("invalid_audio", 4415)
        transcripts.append([final.text for final in client.finals])
    assert transcripts[0] == transcripts[1] != []


async def test_many_wrong_ones_at_once(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server(max_streams=4)

    async def misbehave(number: int) -> str:
        async with run.connect() as client:
            await client.websocket.send(["{", b"\x00", '{"type":"stop"}', "[]"][number % 4])
            return (await client.refused())[0]

    async with a_bystander(run, speech(1.5)):
        codes = await asyncio.gather(*(misbehave(number) for number in range(40)))
    assert set(codes) == {"invalid_message", "unexpected_message"}


async def test_a_fault_of_ours_ends_one_session_only(
    start_server: Any, speech: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = await start_server()

    def fail(*_: object) -> None:
        raise RuntimeError("the secret text")

    async with a_bystander(run, speech(1.5)), run.connect() as client:
        await client.start()
        seat = max(run.sessions.seats, key=lambda seat: seat.session.stream)
        monkeypatch.setattr(seat.session, "_flush", fail)
        await client.send(Flush())
        assert await client.refused() == ("internal", 1011)
        assert "secret" not in str(client.events)
    assert "a session failed" in caplog.text
