"""Workers die, connections drop: not a word is lost or doubled."""

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from server.wire import Done, Encoding, Final, Flush, Flushed, Partial, Ready, Stop

pytestmark = pytest.mark.asyncio

SECOND = 32_000  # bytes of s16le at 16 kHz


def kill_worker(run: Any, number: int = 0) -> None:
    """End a worker without a word."""
    os.kill(run.pool.workers[number].pid, signal.SIGKILL)


@pytest.mark.parametrize("chunks", range(1, 10))
async def test_a_killed_worker_changes_no_word(start_server: Any, speech: Callable[..., bytes], chunks: int) -> None:
    run = await start_server()
    data = speech(3.0)
    expected = await run.transcribe(data)
    async with run.connect() as client:
        await client.start()
        half = chunks * 10_240 + 3000
        await client.audio(data[:half])
        await client.until(Final if chunks % 4 == 0 else Partial)
        kill_worker(run)
        await client.audio(data[half:])
        await client.stop()
    assert client.finals == expected
    positions = [partial.audio_ms for partial in client.partials]
    assert positions == sorted(set(positions))  # nothing is told twice
    assert await run.metric("earshot_worker_restarts_total") == 1


async def test_many_streams_survive_a_worker_that_keeps_dying(start_server: Any, speech: Callable[..., bytes]) -> None:
    stable = await start_server()
    expected = [await stable.transcribe(speech(3.0, seed)) for seed in range(6)]
    run = await start_server("--die-after", "37")
    assert await asyncio.gather(*(run.transcribe(speech(3.0, seed)) for seed in range(6))) == expected
    assert run.pool.restarts >= 1


async def test_streams_of_a_killed_worker_go_on_at_another(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server(workers=2, max_streams=8)
    data = [speech(3.0, seed) for seed in range(4)]
    expected = [await run.transcribe(one) for one in data]

    async def talk(one: bytes) -> list[Final]:
        async with run.connect() as client:
            await client.start()
            await client.audio(one[:SECOND])
            await client.until(Partial)
            half.set()
            await go_on.wait()
            await client.audio(one[SECOND:])
            await client.stop()
            return client.finals

    half, go_on = asyncio.Event(), asyncio.Event()
    talking = asyncio.gather(*map(talk, data))
    await half.wait()
    kill_worker(run)
    go_on.set()
    assert await talking == expected


@pytest.mark.parametrize("end", ["flush", "stop"])
async def test_a_worker_that_dies_at_the_end_changes_no_word(
    start_server: Any, speech: Callable[..., bytes], end: str
) -> None:
    run = await start_server()
    data = speech(0.9)
    expected = await run.transcribe(data)
    async with run.connect() as client:
        await client.start()
        await client.audio(data)
        await client.until(Partial, 2)
        os.kill(run.pool.workers[0].pid, signal.SIGSTOP)
        await client.send(Flush() if end == "flush" else Stop())
        kill_worker(run)
        if end == "flush":
            await client.until(Flushed)
            await client.stop()
        else:
            assert await client.closed() == 1000
    assert client.finals == expected


async def test_a_hung_worker_changes_no_word(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server(worker_hang_s=0.5)
    data = speech(2.0)
    expected = await run.transcribe(data)
    async with run.connect() as client:
        await client.start()
        await client.audio(data[:SECOND])
        await client.until(Partial)
        os.kill(run.pool.workers[0].pid, signal.SIGSTOP)
        await client.audio(data[SECOND:])
        await client.stop()
    assert client.finals == expected
    assert run.pool.restarts == 1


@pytest.mark.parametrize("cut", [1, 9_999, 20_001, 41_000, 63_998])
async def test_a_dropped_connection_loses_and_doubles_nothing(
    start_server: Any, speech: Callable[..., bytes], cut: int
) -> None:
    run = await start_server()
    data = speech(3.0)
    expected = await run.transcribe(data)
    async with run.connect() as client:
        ready = await client.start()
        await client.audio(data[:cut])
        if cut > 10_240:
            await client.until(Partial)
        finals = client.finals
        client.drop()
    async with run.connect() as again:
        resumed = await again.resume(ready, len(finals))
        assert (resumed.session, resumed.chunk_ms) == (ready.session, ready.chunk_ms)
        assert resumed.resume != ready.resume
        assert resumed.received_samples <= cut // 2
        await again.audio(data[2 * resumed.received_samples :])
        await again.stop()
    assert finals + again.finals == expected
    assert await run.metric("earshot_resumes_total") == 1


async def test_both_drop_at_once(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    data = speech(3.0)
    expected = await run.transcribe(data)
    async with run.connect() as client:
        ready = await client.start()
        await client.audio(data[: 2 * SECOND])
        await client.until(Partial, 3)
        finals = client.finals
        kill_worker(run)
        client.drop()
    async with run.connect() as again:
        resumed = await again.resume(ready, len(finals))
        await again.audio(data[2 * resumed.received_samples :])
        await again.stop()
    assert finals + again.finals == expected


async def test_done_is_told_to_a_client_that_missed_it(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    data = speech(1.0)
    async with run.connect() as client:
        ready = await client.start()
        await client.audio(data)
        await client.until(Partial, 3)
        await client.send(Stop())
        client.drop()
    async with run.connect() as again:
        await again.resume(ready)
        assert await again.closed() == 1000
    assert again.events[-1] == Done(samples=16_000, audio_ms=1000, segments=1)
    assert again.finals == await run.transcribe(data)
    await run.quiet()


async def test_a_session_goes_to_the_connection_that_resumes_it(
    start_server: Any, speech: Callable[..., bytes]
) -> None:
    run = await start_server()
    data = speech(2.0)
    async with run.connect() as old, run.connect() as new:
        ready = await old.start()
        await old.audio(data[:SECOND])
        await old.until(Partial)
        resumed = await new.resume(ready)
        assert await old.closed() == 4409
        await new.audio(data[2 * resumed.received_samples :])
        await new.stop()
    assert new.finals == await run.transcribe(data)


async def test_a_container_is_resumed_by_bytes(start_server: Any, samples_folder: Any) -> None:
    run = await start_server()
    data = (samples_folder / "1673-143397-0012.mp3").read_bytes()
    start = {"encoding": Encoding.CONTAINER, "sample_rate": None}
    expected = await run.transcribe(data, **start)
    async with run.connect() as client:
        ready = await client.start(**start)
        await client.audio(data[: len(data) // 2], 1000)
        await client.until(Partial)
        finals = client.finals
        client.drop()
    async with run.connect() as again:
        resumed = await again.resume(ready, len(finals))
        await again.audio(data[resumed.received_bytes :], 1000)
        await again.stop()
    assert finals + again.finals == expected


@pytest.mark.parametrize("wrong", ["token", "session", "old token", "too many finals"])
async def test_only_the_right_token_resumes(start_server: Any, speech: Callable[..., bytes], wrong: str) -> None:
    run = await start_server()
    async with run.connect() as owner, run.connect() as other:
        ready = await owner.start()
        if wrong == "old token":
            owner.drop()
            async with run.connect() as middle:
                await middle.resume(ready)
                await middle.audio(speech(0.1))  # so it has the new token
                with pytest.raises(Exception, match="received 4404"):
                    await other.resume(ready)
                return
        changes = {
            "token": {"resume": "x" * 32},
            "session": {"session": "y" * 32},
            "too many finals": {},
        }[wrong]
        values = {"session": ready.session, "resume": ready.resume, **changes}
        with pytest.raises(Exception, match="received 4404"):
            await other.resume(Ready(**values, chunk_ms=1, lookahead_ms=0, model=""), segments=7 * (not changes))
        await owner.audio(speech(0.5))
        await owner.stop()
    assert owner.finals == await run.transcribe(speech(0.5))


async def test_a_session_waits_for_its_client_only_so_long(start_server: Any) -> None:
    run = await start_server(resume_s=0.2)
    async with run.connect() as client:
        ready = await client.start()
        client.drop()
    await run.quiet()
    async with run.connect() as again:
        with pytest.raises(Exception, match="received 4404"):
            await again.resume(ready)
    assert run.pool.streams == 0
