import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client import connect
from server.wire import Ack, Done, Encoding, Final, Flush, Flushed, Partial, Ready, pcm
from tests.server.app.running import WAIT_S

pytestmark = pytest.mark.asyncio


async def test_a_session_from_start_to_done(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    async with run.connect() as client:
        ready = await client.start()
        assert (ready.model, ready.chunk_ms, ready.lookahead_ms, ready.received_samples) == ("fake", 320, 0, 0)
        await client.audio(speech(3.0))
        done = await client.stop()
    assert done == Done(samples=48_000, audio_ms=3000, segments=3)
    assert [final.segment for final in client.finals] == [0, 1, 2]
    words = [word for final in client.finals for word in final.words]
    assert len(words) == 10
    assert [word.start_ms for word in words] == [320 * n for n in range(10)]
    assert words[-1].end_ms == 3000
    assert max(event.samples for event in client.events if isinstance(event, Ack)) == 48_000
    assert len(client.partials) == 7  # of 9 whole chunks, every fourth ends a segment
    assert client.partials[0].timing.queue_ms == 1.5


async def test_streams_do_not_mix(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    alone = [await run.transcribe(speech(2.0, seed)) for seed in range(4)]
    assert len({final.text for finals in alone for final in finals}) == 8
    assert await asyncio.gather(*(run.transcribe(speech(2.0, seed)) for seed in range(4))) == alone


async def test_one_byte_at_a_time(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    data = speech(0.4)
    async with run.connect() as client:
        await client.start()
        await client.audio(data, frame=1)
        await client.stop()
    assert client.finals == await run.transcribe(data)


async def test_a_flood_of_tiny_frames_disturbs_nobody(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    async with run.connect() as flood, run.connect() as other:
        await flood.start()
        await other.start()
        flooding = asyncio.create_task(flood.audio(speech(0.5), frame=2))
        await other.audio(speech(1.0, 1))
        await other.stop()
        await flooding
        await flood.stop()
    assert other.finals == await run.transcribe(speech(1.0, 1))
    assert flood.finals == await run.transcribe(speech(0.5))


@pytest.mark.parametrize("encoding", [e for e in Encoding if e is not Encoding.CONTAINER])
@pytest.mark.parametrize("rate", [8000, 44_100])
async def test_every_encoding_and_rate(start_server: Any, encoding: Encoding, rate: int) -> None:
    run = await start_server()
    tone = np.sin(np.arange(rate) * 2 * np.pi * 440 / rate).astype(np.float32) / 2
    async with run.connect() as client:
        await client.start(encoding=encoding, sample_rate=rate)
        await client.audio(pcm.encode(tone, encoding), frame=1001)
        done = await client.stop()
    assert (done.samples, done.audio_ms) == (rate, 1000)
    assert len(client.finals[0].words) == 4


@pytest.mark.parametrize("name", ["1673-143397-0012.mp3", "common_voice_en_37228932.opus"])
async def test_containers(start_server: Any, samples_folder: Path, name: str) -> None:
    run = await start_server()
    data = (samples_folder / name).read_bytes()
    transcripts = []
    for frame in (len(data), 777):
        async with run.connect() as client:
            await client.start(encoding=Encoding.CONTAINER, sample_rate=None)
            await client.audio(data, frame)
            done = await client.stop()
        assert done.audio_ms > 3000
        transcripts.append([final.text for final in client.finals])
    assert transcripts[0] == transcripts[1] != []


async def test_a_container_may_begin_with_more_than_a_client_keeps(start_server: Any, samples_folder: Path) -> None:
    run = await start_server()
    data = (samples_folder / "1673-143397-0012.mp3").read_bytes()
    cover = b"\x00image/png\x00\x03\x00" + bytes(3_000_000)
    frame = b"APIC" + len(cover).to_bytes(4, "big") + bytes(2) + cover
    size = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    tagged = b"ID3\x03\x00\x00" + size + frame + data
    texts = []
    for file in (data, tagged):
        async with (
            asyncio.timeout(WAIT_S),
            connect(f"ws://127.0.0.1:{run.port}", encoding=Encoding.CONTAINER, sample_rate=None) as session,
        ):
            await session.send(file)
            await session.stop()
            texts.append([event.text async for event in session if isinstance(event, Final)])
    assert texts[0] == texts[1] != []


async def test_flush_makes_final_and_stays_open(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    async with run.connect() as client:
        await client.start()
        await client.audio(speech(0.5))
        await client.send(Flush())
        assert await client.until(Flushed) == Flushed(samples=8000)
        assert len(client.finals) == 1
        await client.audio(speech(0.5, 1))
        done = await client.stop()
    assert done.samples == 16_000
    assert len(client.finals) == 2


async def test_words_only_when_asked_for(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    assert [final.words for final in await run.transcribe(speech(1.0), words=False)] == [()]


async def test_chunk_size_of_choice(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    async with run.connect() as client:
        assert (await client.start(chunk_ms=640)).chunk_ms == 640
        await client.audio(speech(1.28))
        await client.until(Partial, 2)
        await client.stop()
    assert len(client.finals[0].words) == 2


async def test_a_client_that_closes_frees_its_slot(start_server: Any) -> None:
    run = await start_server(max_streams=1)
    for _ in range(3):
        async with run.connect() as client:
            assert isinstance(await client.start(), Ready)
            await client.websocket.close()
        await run.quiet()
    assert run.pool.streams == run.sessions.active == 0
