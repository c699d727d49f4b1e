"""One websocket: what goes out, in order and without waiting; what comes in; how it ends."""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from server.app.transport import Link
from server.wire import ServerMessage, encode

CLOSE_S = 10.0  # seconds that a peer gets to read what was sent and to answer the close frame
ABORT_S = 1.0  # the same for a peer that has stopped reading
INTERNAL = 1011  # RFC 6455 section 7.4.1
FAIR_FRAMES = 16  # frames handled in a row, before other connections get their turn

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Closing:
    code: int
    reason: str


class Connection:
    """The outgoing queue is not bounded here: the session counts what it has sent and what was written.

    Args:
        websocket: Accepted.
        on_sent: Called after every message that was written.

    Attributes:
        closing: Whether the server has decided to close it: nothing that comes in matters any more.
    """

    def __init__(self, websocket: WebSocket, on_sent: Callable[[], None]) -> None:
        """Sends nothing before `run`."""
        self.closing = False
        self._websocket = websocket
        self._on_sent = on_sent
        self._link = Link.of(websocket.scope)
        self._out: deque[str | _Closing] = deque()
        self._wake = asyncio.Event()
        self._deadline: asyncio.TimerHandle | None = None

    def send(self, message: ServerMessage) -> None:
        """Queue a message."""
        if not self.closing:
            self._out.append(encode(message))
            self._wake.set()

    def close(self, code: int, reason: str, discard: bool = False) -> None:
        """Close after what is queued; does nothing if that was asked for before.

        Args:
            code: Close code.
            reason: At most 123 bytes of UTF-8.
            discard: Whether what is queued is of no use any more.
        """
        if self.closing:
            return
        self.closing = True
        if discard:
            self._out.clear()
        self._out.append(_Closing(code, reason))
        self._wake.set()
        wait_s = ABORT_S if discard else CLOSE_S
        self._deadline = asyncio.get_running_loop().call_later(wait_s, self._link.abort)

    async def run(self, reader: Callable[["Connection"], Coroutine[Any, Any, None]]) -> int:
        """Write what is queued while `reader` reads, until the connection is over.

        Returns:
            The close code that the peer sent; 1006 without one.
        """
        tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(reader(self)), asyncio.ensure_future(self._write())]
        try:
            # Where the link tells the end, it may do so before the reader has read what came until then.
            ends = tasks if self._link.tells else [*tasks, self._link.ended]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            self.close(INTERNAL, "")  # unless it is over or closing, which is how it should be
            return await self._link.ended
        finally:
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    logger.error("a connection failed", exc_info=outcome)
            if self._deadline is not None:
                self._deadline.cancel()

    async def frames(self) -> AsyncIterator[str | bytes]:
        """What comes in, until either side closes."""
        handled = 0
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                self._link.over(message.get("code"))
                return
            if not self.closing:
                text = message.get("text")
                yield message["bytes"] if text is None else text
            handled += 1
            if handled % FAIR_FRAMES == 0:
                await asyncio.sleep(0)

    async def _write(self) -> None:
        """Write until the connection is closed."""
        # RuntimeError: uvicorn has closed it, over a frame that is none or for want of a pong.
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                while not self._out:
                    self._wake.clear()
                    await self._wake.wait()
                item = self._out.popleft()
                if isinstance(item, _Closing):
                    await self._websocket.close(item.code, item.reason)
                    return
                await self._websocket.send_text(item)
                self._on_sent()
