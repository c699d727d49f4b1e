"""`/v1/stream`: from a websocket to a session."""

import contextlib
import logging
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from server.app.admission import Refusal
from server.app.auth import (
    ANYBODY,
    Token,
    chosen_subprotocol,
    identify,
    is_local,
    origin_admitted,
    presented_token,
)
from server.app.connection import Connection
from server.app.logs import fields
from server.app.metrics import Metrics
from server.app.sessions import Sessions
from server.pool import Pool
from server.session import Identity
from server.settings import Settings
from server.wire import Error, ErrorCode
from server.worker.messages import Started

SPARE_CONNECTIONS = 64
"""Connections beyond `max_streams`: those that have not started yet or are being told that the server is full."""

logger = logging.getLogger(__name__)


class Streaming:
    """Admits connections and reads them.

    Refusals are told on the websocket, with a close code, and not as HTTP statuses: browsers hide those from pages.

    Args:
        settings: Of the server.
        tokens: That are admitted; None to admit everybody.
        metrics: What is counted.
        sessions: Where connections belong.
        pool: Of the workers.

    Attributes:
        connections: Open websockets, those that are refused included.
    """

    def __init__(
        self,
        settings: Settings,
        tokens: Sequence[Token] | None,
        metrics: Metrics,
        sessions: Sessions,
        pool: Pool,
    ) -> None:
        """Starts without connections."""
        self.connections = 0
        self._settings, self._tokens = settings, tokens
        self._metrics, self._sessions, self._pool = metrics, sessions, pool
        self._local = is_local(f"[{settings.host}]" if ":" in settings.host else settings.host)

    async def endpoint(self, websocket: WebSocket) -> None:
        """Serve one websocket until it is over."""
        subprotocol = chosen_subprotocol(websocket.scope.get("subprotocols", []))
        with contextlib.suppress(WebSocketDisconnect):
            await websocket.accept(subprotocol)
            self.connections += 1
            try:
                await self._serve(websocket)
            finally:
                self.connections -= 1

    @staticmethod
    async def plain(request: Request) -> Response:
        """Tell whoever asks without a websocket what is here (RFC 9110 section 15.5.22)."""
        return PlainTextResponse("expected a websocket of the protocol earshot.v1", 426, {"Upgrade": "websocket"})

    async def _serve(self, websocket: WebSocket) -> None:
        """Serve one websocket that is open."""
        connection = Connection(websocket, lambda: self._sessions.sent(connection))
        admitted = self._admit(websocket)
        if not isinstance(admitted[0], Identity):
            await self._turn_away(connection, admitted)
            return
        self._sessions.connect(connection, *admitted)
        code = 1006
        try:
            code = await connection.run(self._read)
        finally:
            self._sessions.disconnected(connection, code)

    def _admit(self, websocket: WebSocket) -> tuple[Identity, Started] | Refusal:
        """Whose connection it is and what it may use, or why it is refused."""
        headers, settings = websocket.headers, self._settings
        if not origin_admitted(headers.get("origin"), headers.get("host"), settings.origins, self._local):
            return ErrorCode.FORBIDDEN_ORIGIN, "pages of this origin may not use this server"
        identity: Identity | None = ANYBODY
        if self._tokens is not None:
            subprotocols = websocket.scope.get("subprotocols", [])
            identity = identify(presented_token(headers.get("authorization"), subprotocols), self._tokens)
        if identity is None:
            return ErrorCode.UNAUTHORIZED, "expected a bearer token that this server knows"
        if self.connections > settings.max_streams + SPARE_CONNECTIONS:
            return ErrorCode.OVERLOADED, "too many connections: try again in a moment, or elsewhere"
        if self._pool.about is None:
            return ErrorCode.OVERLOADED, "the model is being loaded: try again in a moment"
        return identity, self._pool.about

    async def _turn_away(self, connection: Connection, refusal: Refusal) -> None:
        """Tell a client why it is refused, and close."""
        code, message = refusal
        self._metrics.refused(code)
        logger.info("refused", extra=fields(code=code.value))
        connection.send(Error(code=code, message=message))
        connection.close(code.close_code, message)
        await connection.run(self._ignore)

    async def _read(self, connection: Connection) -> None:
        """Hand what comes in to the session, as long as it has room."""
        async for frame in connection.frames():
            seat = self._sessions.seat_of(connection)
            if seat is None:
                continue
            if isinstance(frame, str):
                await self._sessions.text(seat, frame)
            else:
                await self._sessions.hearing.hear(seat, frame)
            seat = self._sessions.seat_of(connection)
            if seat is not None:
                await seat.room.wait()

    @staticmethod
    async def _ignore(connection: Connection) -> None:
        """Read to the end without looking."""
        async for _ in connection.frames():
            pass
