"""A TCP proxy that breaks connections after so many bytes, without a word to either end."""

import asyncio
import time
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit

BLOCK = 4096  # bytes passed on at a time


class CuttingProxy:
    """Passes bytes on; `async with` runs it.

    Args:
        url: Of the server.
        cuts: Bytes from the client after which the first, second, … connection breaks; later ones last.
        clock: The time in seconds.

    Attributes:
        cut_at: When connections broke.
        passed: Bytes that came from the client, on all connections.
    """

    def __init__(self, url: str, cuts: tuple[int, ...], clock: Callable[[], float] = time.monotonic) -> None:
        self._host, self._port = urlsplit(url).hostname, urlsplit(url).port
        self._cuts, self._clock = list(cuts), clock
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.cut_at: list[float] = []
        self.passed = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()
        return f"ws://{host}:{port}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        limit = self._cuts.pop(0) if self._cuts else None
        there, back = await asyncio.open_connection(self._host, self._port)
        down = asyncio.create_task(self._down(there, writer))
        try:
            await self._up(reader, back, limit)
        except ConnectionError:
            pass
        finally:
            back.transport.abort()
            writer.transport.abort()
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)
            self._connections.discard(task)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        """From the client to the server, up to the limit."""
        passed = 0
        while data := await reader.read(BLOCK):
            if limit is not None and passed + len(data) >= limit:
                writer.write(data[: limit - passed])
                await writer.drain()
                self.cut_at.append(self._clock())
                return
            passed += len(data)
            self.passed += len(data)
            writer.write(data)
            await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """From the server to the client."""
        while data := await reader.read(BLOCK):
            writer.write(data)
            await writer.drain()
        writer.close()
