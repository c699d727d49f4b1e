"""A server that runs in the test's event loop, and a client that shows what it was sent."""

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.app.serve import Server
from server.settings import Settings
from server.wire import (
    ClientMessage,
    Done,
    Error,
    Final,
    Partial,
    Ready,
    Resume,
    ServerMessage,
    Start,
    Stop,
    decode_server,
    encode,
)

WAIT_S = 30.0  # for what takes a fraction of a second on a machine that does nothing else


async def until(condition: Callable[[], object], wait_s: float = WAIT_S) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(wait_s):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass
class Client:
    """One connection and everything that came on it."""

    websocket: ClientConnection
    events: list[ServerMessage] = field(default_factory=list)

    async def send(self, message: ClientMessage) -> None:
        """Send a message."""
        await self.websocket.send(encode(message))

    async def next(self) -> ServerMessage:
        """The next message that comes."""
        async with asyncio.timeout(WAIT_S):
            frame = await self.websocket.recv()
        self.events.append(decode_server(frame))
        return self.events[-1]

    async def until(self, kind: type[ServerMessage], count: int = 1) -> Any:
        """Read on to the `count`-th message of a kind from here, and return it."""
        while True:
            message = await self.next()
            count -= isinstance(message, kind)
            if not count:
                return message

    async def start(self, **fields: Any) -> Ready:
        """Open a session, s16le at 16 kHz unless told otherwise."""
        await self.send(Start(**{"sample_rate": 16_000, "words": True, **fields}))
        return await self.until(Ready)

    async def resume(self, ready: Ready, segments: int = 0) -> Ready:
        """Take up a session."""
        await self.send(Resume(session=ready.session, resume=ready.resume, segments=segments))
        return await self.until(Ready)

    async def audio(self, data: bytes, frame: int = 3200) -> None:
        """Send audio in frames of so many bytes."""
        for begin in range(0, len(data), frame):
            await self.websocket.send(data[begin : begin + frame])

    async def stop(self) -> Done:
        """End the session in order."""
        await self.send(Stop())
        done = await self.until(Done)
        assert await self.closed() == 1000
        return done

    async def closed(self) -> int:
        """Read to the end; the close code."""
        try:
            while True:
                await self.next()
        except ConnectionClosed:
            assert self.websocket.close_code is not None
            return self.websocket.close_code

    async def refused(self) -> tuple[str, int]:
        """Read to the end, which a refusal brings: its code and the close code."""
        close_code = await self.closed()
        errors = [event for event in self.events if isinstance(event, Error)]
        return errors[-1].code.value, close_code

    def drop(self) -> None:
        """Lose the connection, without a word."""
        self.websocket.transport.abort()

    @property
    def finals(self) -> list[Final]:
        """The finals that came."""
        return [event for event in self.events if isinstance(event, Final)]

    @property
    def partials(self) -> list[Partial]:
        """The partials that came."""
        return [event for event in self.events if isinstance(event, Partial)]


@dataclass
class Running:
    """A server that runs."""

    server: Server
    task: asyncio.Task[None]
    scheme: str = "http"

    @functools.cached_property
    def port(self) -> int:
        """Where it listens."""
        return self.server.servers[0].sockets[0].getsockname()[1]

    @property
    def pool(self) -> Any:
        """Its workers."""
        return self.server._app.state.pool

    @property
    def sessions(self) -> Any:
        """Its sessions."""
        return self.server._app.state.sessions

    def connect(self, path: str = "/v1/stream", name: str = "127.0.0.1", **options: Any) -> Any:
        """Open a websocket, as a context manager that gives a client; no pings, as it does not always read."""
        address = f"{self.scheme.replace('http', 'ws')}://{name}:{self.port}{path}"
        return _Connecting(connect(address, compression=None, **{"ping_interval": None, **options}))

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """An HTTP request."""
        async with httpx.AsyncClient(verify=False, trust_env=False) as client:
            return await client.get(f"{self.scheme}://127.0.0.1:{self.port}{path}", timeout=WAIT_S, **options)

    async def metric(self, line: str) -> float:
        """The value of a metric, by name and labels."""
        text = (await self.get("/metrics")).text
        return next(float(row.rsplit(" ", 1)[1]) for row in text.splitlines() if row.startswith(f"{line} "))

    async def transcribe(self, data: bytes, **fields: Any) -> list[Final]:
        """What undisturbed recognition gives."""
        async with self.connect() as client:
            await client.start(**fields)
            await client.audio(data)
            await client.stop()
            return client.finals

    async def quiet(self) -> None:
        """Wait until no session is left."""
        await until(lambda: not self.sessions.seats)

    async def over(self) -> None:
        """Wait until the server has ended."""
        async with asyncio.timeout(WAIT_S):
            await asyncio.shield(self.task)


class _Connecting:
    """A client for the time of a block."""

    def __init__(self, connecting: connect) -> None:
        self._connecting = connecting

    async def __aenter__(self) -> Client:
        return Client(await self._connecting.__aenter__())

    async def __aexit__(self, *exception: Any) -> None:
        await self._connecting.__aexit__(*exception)


async def start_running(
    settings: Settings, command: Callable[[str], list[str]] | None, warm: bool = True, wait_s: float = WAIT_S
) -> Running:
    """Start a server; with `warm`, wait until its workers have loaded."""
    server = Server(settings, command)
    run = Running(server, asyncio.create_task(server.serve()), "http" if settings.tls_cert is None else "https")
    await until(lambda: server.started or run.task.done(), wait_s)
    if warm:
        await until(lambda: run.pool.ready or run.task.done(), wait_s)
    return run


async def stop_running(run: Running) -> None:
    """End it without draining."""
    run.server.should_exit = True
    await run.over()
