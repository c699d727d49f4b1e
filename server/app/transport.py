"""What uvicorn's protocols lack: ends that are told, and peers that cannot hold a connection by doing nothing."""

import asyncio
from asyncio.transports import BaseTransport
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

REQUEST_S = 10.0  # seconds from a connection, or the first byte of a further request, to a whole request
NO_CLOSE_FRAME = 1006  # RFC 6455 section 7.4.1


@dataclass
class Link:
    """The transport under a websocket, as far as an application needs it.

    Attributes:
        abort: Ends the connection at once, whatever is still to be written.
        ended: The close code that the peer sent, or 1006, once nothing comes from it any more.
    """

    abort: Callable[[], None]
    ended: "asyncio.Future[int]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    tells: bool = True
    """Whether the server underneath tells the end; else what ASGI says must do."""

    @staticmethod
    def of(scope: Scope) -> "Link":
        """The link of an ASGI scope; one that can only do what ASGI can if another server runs the application."""
        link = scope.get("state", {}).get("link")
        if isinstance(link, Link):
            return link
        substitute = Link(abort=lambda: substitute.end(NO_CLOSE_FRAME), tells=False)
        return substitute

    def end(self, code: int) -> None:
        """The peer is gone; only the first call counts."""
        if not self.ended.done():
            self.ended.set_result(code)

    def over(self, code: int | None) -> None:
        """ASGI says that the connection is over."""
        if not self.tells:
            self.end(NO_CLOSE_FRAME if code is None else code)


class LinkedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's websocket, with a `Link` in the scope's state.

    uvicorn tells the application its own close code as soon as it has sent it, and closes a transport only after all
    is written, for which a half-open connection makes it wait as long as TCP does.
    """

    def connection_made(self, transport: BaseTransport) -> None:
        """Make the link."""
        super().connection_made(transport)
        self.link = Link(abort=self.transport.abort)
        self.heard_at = self.loop.time()
        self.app_state = {**self.app_state, "link": self.link}

    def handle_close(self, event: Frame) -> None:
        """The peer has closed, or has answered our closing."""
        received = self.conn.close_rcvd
        self.link.end(NO_CLOSE_FRAME if received is None else received.code)
        super().handle_close(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        super().connection_lost(exc)
        self.link.end(NO_CLOSE_FRAME)

    def data_received(self, data: bytes) -> None:
        """Note that the peer is there."""
        self.heard_at = self.loop.time()
        super().data_received(data)

    def keepalive_timeout(self) -> None:
        """No pong came: the connection is half open, unless the pong waits behind audio that is held back."""
        assert self.ping_timeout is not None
        if self.read_paused or self.loop.time() - self.heard_at < self.ping_timeout:
            self.pong_timer = self.loop.call_later(self.ping_timeout, self.keepalive_timeout)
            return
        super().keepalive_timeout()
        self.transport.abort()


class PromptHttp(H11Protocol):
    """uvicorn's HTTP, which by itself waits for ever for a first request, and for the rest of any that has begun.

    Between requests its keep-alive timer runs, which the next byte stops.
    """

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        """Start to wait."""
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows it to Transport
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a request, or stop, as it is there; more bytes of it give it no more time."""
        super().data_received(data)
        request: Any = self.cycle  # uvicorn's type leaves out that there may be none yet
        if request is not None and not request.response_complete:
            self._stop_waiting()
        elif self in self.connections and self._waiting is None and self.timeout_keep_alive_task is None:
            self._wait()  # else another protocol has the connection

    def handle_websocket_upgrade(self, event: Any) -> None:
        """A request came; from here on another protocol has the connection."""
        self._stop_waiting()
        super().handle_websocket_upgrade(event)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
