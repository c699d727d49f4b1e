"""Whatever is too much is refused with a reason, and takes nothing from the others."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from server.session import State
from server.wire import Done, Encoding, Error, Final, Partial, Ready, Resume, Start, Stop
from tests.server.app.running import Client, until

pytestmark = pytest.mark.asyncio


async def test_a_full_server_says_so(start_server: Any) -> None:
    run = await start_server(max_streams=2)
    async with run.connect() as first, run.connect() as second, run.connect() as third:
        await first.start()
        await second.start()
        await third.send(Start(sample_rate=16_000))
        assert await third.refused() == ("overloaded", 1013)
        await second.stop()
        async with run.connect() as fourth:
            await fourth.start()
    assert await run.metric('earshot_refusals_total{code="overloaded"}') == 1


async def leave_finished(run: Any, client: Client) -> Ready:
    """Start and stop a session, and drop the connection without an answer to the close."""
    ready = await client.start()
    client.websocket.transport.pause_reading()
    await client.send(Stop())
    (session,) = [seat.session for seat in run.sessions.seats if seat.session.id == ready.session]
    await until(lambda: session.state is State.FINISHED)
    client.drop()
    await until(lambda: session.state is State.FINISHED_DETACHED)
    return ready


async def test_a_session_that_is_finished_holds_no_slot(start_server: Any) -> None:
    run = await start_server("--slots", "1", max_streams=1)
    async with run.connect() as first, run.connect() as second:
        await leave_finished(run, first)
        assert run.pool.streams == 0
        assert isinstance(await second.start(), Ready)


async def test_finished_sessions_that_wait_for_their_clients_are_bounded(start_server: Any) -> None:
    run = await start_server(max_streams=2)
    left: list[Ready] = []
    for _ in range(4):
        async with run.connect() as client:
            left.append(await leave_finished(run, client))
        assert len(run.sessions.seats) <= 2
    for ready, kept in zip(left, (False, False, True, True), strict=True):
        async with run.connect() as again:
            await again.send(Resume(session=ready.session, resume=ready.resume))
            if kept:
                await again.until(Done)
            else:
                assert await again.refused() == ("unknown_session", 4404)


async def test_more_lists_of_phrases_than_a_worker_holds_are_refused(
    start_server: Any, speech: Callable[..., bytes]
) -> None:
    run = await start_server("--phrase-lists", "2", workers=2, max_streams=6)
    data = speech(2.0)
    expected = await run.transcribe(data)
    clients = [run.connect() for _ in range(5)]
    async with clients[0] as first, clients[1] as second, clients[2] as like_first, clients[3] as third:
        await first.start(phrases=("Ada", "Grace"))
        await second.start(phrases=("Grace",))
        await like_first.start(phrases=("Ada", "Grace", "Ada"))
        await third.send(Start(sample_rate=16_000, phrases=("Ada",)))
        assert await third.refused() == ("overloaded", 1013)
        for client in (first, second, like_first):
            await client.audio(data[:32_000])
            await client.until(Partial)
        os.kill(run.pool.workers[0].pid, signal.SIGKILL)  # the other one has room for its lists
        for client in (first, second, like_first):
            await client.audio(data[32_000:])
            await client.stop()
            assert client.finals == expected
        async with clients[4] as last:
            await last.start(phrases=("Ada",))


async def test_a_worker_that_is_full_says_so(start_server: Any) -> None:
    run = await start_server("--slots", "1", max_streams=4)
    async with run.connect() as first, run.connect() as second:
        await first.start()
        await second.send(Start(sample_rate=16_000))
        assert await second.refused() == ("overloaded", 1013)


async def test_connections_are_bounded_too(start_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.app.streaming.SPARE_CONNECTIONS", 1)
    run = await start_server(max_streams=1)
    async with run.connect() as first, run.connect(), run.connect() as third:
        assert await third.refused() == ("overloaded", 1013)
        assert isinstance(await first.start(), Ready)
        assert await run.metric("earshot_connections") == 2


async def test_nobody_is_admitted_before_the_model_is_loaded(start_server: Any) -> None:
    run = await start_server("--first", "nothing", warm=False)
    async with run.connect() as client:
        assert await client.refused() == ("overloaded", 1013)


async def test_a_server_without_a_running_worker_is_overloaded(start_server: Any) -> None:
    run = await start_server()
    async with run.connect() as waiting, run.connect() as late:
        await waiting.start()
        worker = run.pool.workers[0]
        worker.command = lambda address: ["/does/not/exist"]
        os.kill(worker.pid, signal.SIGKILL)
        while worker.started is not None:
            await asyncio.sleep(0.01)
        await late.send(Start(sample_rate=16_000))
        assert await late.refused() == ("overloaded", 1013)


async def test_a_fast_sender_is_held_back(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server(backlog_s=2.0)
    data = speech(60.0)
    async with run.connect() as client:
        await client.start()

        async def send() -> None:
            await client.audio(data, 16_000)
            await client.send(Stop())

        sending = asyncio.create_task(send())
        assert (await client.until(Done)).samples == 16_000 * 60
        await sending
    assert len(client.finals) == 47
    assert not [event for event in client.events if isinstance(event, Error)]


async def test_audio_beyond_the_backlog_is_refused_and_not_lost(
    start_server: Any, speech: Callable[..., bytes]
) -> None:
    run = await start_server(backlog_s=2.0, worker_hang_s=600.0)
    data = speech(6.0)
    expected = await run.transcribe(data)
    pid = run.pool.workers[0].pid
    async with run.connect() as client:
        ready = await client.start()
        os.kill(pid, signal.SIGSTOP)
        await client.websocket.send(data[: 3 * 32_000])
        assert await client.refused() == ("too_fast", 4421)
    os.kill(pid, signal.SIGCONT)
    async with run.connect() as again:
        resumed = await again.resume(ready, len(client.finals))
        await again.audio(data[2 * resumed.received_samples :])
        await again.stop()
    assert client.finals + again.finals == expected


async def test_a_slow_reader_is_cut_off_and_disturbs_nobody(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server("--segment", "1", events=16, max_streams=4)
    data = speech(2.0)
    expected = await run.transcribe(data)
    run.server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    slow = socket.create_connection(("127.0.0.1", run.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with run.connect(sock=slow, ping_interval=None, close_timeout=1) as reader:
        ready = await reader.start(sample_rate=8000, encoding=Encoding.MULAW)
        reader.websocket.transport.pause_reading()
        seat = run.sessions.seats[0]
        with contextlib.suppress(ConnectionClosed):  # pings stop, sooner or later the connection is aborted
            while seat.connection is not None:
                await reader.audio(bytes(160_000), 8000)
                assert await run.transcribe(data) == expected
        reader.drop()
    assert seat.session.state is State.DETACHED
    kept = seat.session._transcript.segments - 16  # as many finals as events may wait are kept for it
    async with run.connect() as again:
        assert (await again.resume(ready, kept)).received_samples > 0
        await again.stop()
    assert [final.segment for final in again.finals][:16] == list(range(kept, kept + 16))


async def test_an_idle_client_is_let_go(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server(idle_s=0.5)
    async with run.connect() as client:
        await client.start()
        await client.audio(speech(0.5))
        assert await client.refused() == ("idle_timeout", 4408)
        assert len(client.finals) == 1  # what it said is not lost
        assert isinstance(client.events[-1], Done)


async def test_a_connection_that_never_starts_is_let_go(start_server: Any) -> None:
    run = await start_server(idle_s=0.2)
    async with run.connect() as client:
        assert await client.refused() == ("idle_timeout", 4408)


async def test_a_session_lasts_only_so_long(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server(session_s=1.0)
    async with run.connect() as client:
        await client.start()
        await client.audio(speech(0.5))
        assert await client.refused() == ("session_too_long", 4413)
        assert len(client.finals) == 1


async def test_a_half_open_connection_is_found_out(start_server: Any) -> None:
    run = await start_server(ping_s=0.2, resume_s=0.2)
    async with run.connect() as client:
        await client.start()
        client.websocket.transport.pause_reading()  # so that no pong is sent
        await run.quiet()
        client.drop()
    assert run.pool.streams == 0


async def test_a_client_that_is_held_back_is_not_taken_for_half_open(
    start_server: Any, speech: Callable[..., bytes]
) -> None:
    run = await start_server(ping_s=0.2, backlog_s=2.0, worker_hang_s=600.0)
    data = speech(12.0)
    expected = await run.transcribe(data)
    pid = run.pool.workers[0].pid
    async with run.connect() as client:
        await client.start()
        os.kill(pid, signal.SIGSTOP)
        sending = asyncio.create_task(client.audio(data, 3200))
        seat = run.sessions.seats[0]
        while seat.room.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)  # several pings' worth
        os.kill(pid, signal.SIGCONT)
        await sending
        await client.stop()
    assert client.finals == expected


async def test_a_client_that_does_not_answer_the_close_is_cut_off(
    start_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.app.connection.CLOSE_S", 0.2)
    run = await start_server()
    async with run.connect() as client:
        await client.start()
        await client.send(Stop())
        client.websocket.transport.pause_reading()
        while await run.metric("earshot_connections"):
            await asyncio.sleep(0.01)
        client.drop()


async def test_partials_wait_for_nobody_elses_reading(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server()
    async with run.connect() as still, run.connect() as lively:
        await still.start()
        await lively.start()
        await still.audio(speech(2.0))
        await lively.audio(speech(2.0, 1))
        assert isinstance(await lively.until(Final), Final)
        await still.until(Partial)
