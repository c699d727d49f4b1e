import asyncio
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from server.wire import Done, Error, Partial, Start, Stop

pytestmark = pytest.mark.asyncio


async def test_open_sessions_finish_and_new_ones_are_refused(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    data = speech(2.0)
    expected = await run.transcribe(data)
    async with run.connect() as talking, run.connect() as waiting, run.connect() as lost:
        await talking.start()
        ready = await lost.start()
        await lost.audio(data[:32_000])
        await lost.until(Partial)
        await talking.audio(data[:32_000])
        assert (await run.get("/readyz")).status_code == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(run.sessions.changed.wait(), 30)
        while (await run.get("/readyz")).json() != {"status": "draining"}:
            await asyncio.sleep(0.01)
        assert (await run.get("/readyz")).status_code == 503
        assert (await run.get("/healthz")).status_code == 200
        assert await run.metric("earshot_draining") == 1
        await waiting.send(Start(sample_rate=16_000))
        assert await waiting.refused() == ("shutting_down", 1012)
        lost.drop()
        async with run.connect() as found:  # those that were open may come back
            resumed = await found.resume(ready)
            await found.audio(data[2 * resumed.received_samples :])
            await found.stop()
        assert found.finals == expected
        await talking.audio(data[32_000:])
        await talking.stop()
        assert talking.finals == expected
    await run.over()


async def test_what_is_left_is_finalised_and_told(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server(drain_s=0.3)
    async with run.connect() as endless, run.connect() as silent, run.connect() as gone:
        await gone.start()
        gone.drop()
        await endless.start()
        await endless.audio(speech(1.0))
        await endless.until(Partial)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await endless.refused() == ("shutting_down", 1012)
        assert len(endless.finals) == 1
        assert isinstance(endless.events[-1], Done)
        assert await silent.closed() == 1012
    await run.over()
    assert run.pool.streams == 0
    assert all(worker.pid is None or not alive(worker.pid) for worker in run.pool.workers)


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_an_idle_server_ends_at_once(start_server: Any) -> None:
    run = await start_server(drain_s=600.0)
    os.kill(os.getpid(), signal.SIGINT)
    await run.over()


async def test_a_second_signal_does_not_wait(start_server: Any) -> None:
    run = await start_server(drain_s=600.0)
    async with run.connect() as client:
        await client.start()
        os.kill(os.getpid(), signal.SIGTERM)
        while not run.sessions.draining:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await client.closed() == 1012
    await run.over()


async def test_a_client_that_stops_during_the_last_seconds_gets_its_words(
    start_server: Any, speech: Callable[..., bytes]
) -> None:
    run = await start_server(drain_s=600.0)
    async with run.connect() as client:
        await client.start()
        await client.audio(speech(1.0))
        os.kill(os.getpid(), signal.SIGTERM)
        await client.send(Stop())
        with pytest.raises(ConnectionClosed):
            while True:
                await client.next()
    assert len(client.finals) == 1
    assert not [event for event in client.events if isinstance(event, Error)]
    await run.over()
