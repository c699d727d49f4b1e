"""One session of the load: callbacks on a transport, without a task for each message.

The websocket itself is `websockets`' sans-I/O protocol; only the audio, whose frames are ready-made, goes past it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import Event as WebSocketEvent
from websockets.uri import parse_uri

from client.bench.latency import Stopwatch
from client.bench.pacing import Pacing
from client.bench.recordings import Loaded
from client.dial import SUBPROTOCOL
from client.errors import ConnectionFailedError, ConnectionLostError, ServerProtocolError, refusal, refusal_of_status
from server.wire import (
    MAX_SERVER_BYTES,
    Done,
    Error,
    Final,
    Partial,
    Ready,
    Start,
    Stop,
    WireError,
    decode_server,
    encode,
)

NORMAL_CLOSURE = 1000  # close code: a session that is left with it is given up, not kept to be resumed
FAST_FRAMES = 32  # sent in a row at `Pacing.fast`, before other streams get their turn


class Timer(Protocol):
    """What an event loop knows of time."""

    def time(self) -> float:
        """The time in seconds."""

    def call_at(self, when: float, callback: Callable[[], None], /) -> object:
        """Calls back at a time."""


@dataclass(frozen=True)
class Target:
    """Where and how the load's sessions are opened.

    Attributes:
        url: Of the websocket.
        token: Bearer token.
        chunk_ms: Audio recognised at a time, in milliseconds; None: the server's default.
        pacing: How fast audio is sent.
        timeout_s: For making a connection, in seconds.
    """

    url: str
    token: str | None = None
    chunk_ms: int | None = None
    pacing: Pacing = Pacing.realtime
    timeout_s: float = 10.0


@dataclass
class Played:
    """What a session gave.

    Attributes:
        ready: What the server said at its start.
        done: What it said at its end.
        stop_s: From `stop` to `done`, in seconds.
        finals: In order.
    """

    ready: Ready | None = None
    done: Done | None = None
    stop_s: float = 0.0
    finals: list[Final] = field(default_factory=list)


async def play(target: Target, recording: Loaded, watch: Stopwatch, timer: Timer) -> Played:
    """Plays a recording in a session of its own.

    Args:
        target: The server.
        recording: What to play.
        watch: Measures.
        timer: The time, and callbacks at times.

    Raises:
        EarshotError: the session came to no good end.
    """
    loop, uri = asyncio.get_running_loop(), parse_uri(target.url)
    stream = BenchStream(target, recording, watch, timer)
    try:
        async with asyncio.timeout(target.timeout_s):
            await loop.create_connection(lambda: stream, uri.host, uri.port, ssl=True if uri.secure else None)
    except (OSError, TimeoutError) as error:
        said = str(error) or f"no answer within {target.timeout_s:g} s"
        raise ConnectionFailedError(f"{target.url}: {said}") from error
    try:
        return await stream.finished
    finally:
        stream.leave()


class BenchStream(asyncio.Protocol):
    """A session: start, audio at its pace, stop, done.

    Args:
        target: The server.
        recording: What to play.
        watch: Measures.
        timer: The time, and callbacks at times.

    Attributes:
        finished: The session's end.
    """

    def __init__(self, target: Target, recording: Loaded, watch: Stopwatch, timer: Timer) -> None:
        """Does nothing until it is connected."""
        self.finished: asyncio.Future[Played] = asyncio.get_running_loop().create_future()
        self._target, self._recording, self._watch, self._timer = target, recording, watch, timer
        self._websocket = ClientProtocol(parse_uri(target.url), subprotocols=[SUBPROTOCOL], max_size=MAX_SERVER_BYTES)
        self._transport: asyncio.Transport | None = None
        self._played = Played()
        self._text = b""  # of a message that comes in several frames
        self._next = 0  # frame to send
        self._begin = 0.0  # time of the recording's first sample
        self._stopped = 0.0
        self._paused = False  # whether the socket takes no more

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for a websocket."""
        self._transport = cast(asyncio.Transport, transport)
        request = self._websocket.connect()
        if self._target.token:
            request.headers["Authorization"] = f"Bearer {self._target.token}"
        self._websocket.send_request(request)
        self._write_out()

    def data_received(self, data: bytes) -> None:
        """Takes whatever came."""
        now = self._timer.time()
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            self._take(event, now)
        self._write_out()

    def eof_received(self) -> None:
        """The server sends no more."""
        self._websocket.receive_eof()

    def connection_lost(self, error: Exception | None) -> None:
        """The end, if it was not there before."""
        code = self._websocket.close_code
        self._fail(ConnectionLostError(f"the connection ended (code {code}) before the session was done"))

    def pause_writing(self) -> None:
        """The socket takes no more."""
        self._paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self._paused = False
        if self._target.pacing is Pacing.fast and self._played.ready is not None:
            self._send_fast()

    def leave(self) -> None:
        """Closes the connection; a session that is not done is given up."""
        assert self._transport is not None
        if self._websocket.state.name == "OPEN":
            self._websocket.send_close(NORMAL_CLOSURE)
            self._write_out()
        self._transport.close()

    def _take(self, event: WebSocketEvent, now: float) -> None:
        if isinstance(event, Response):
            self._opened()
        elif isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.CONT):
            self._text += event.data
            if event.fin:
                text, self._text = self._text, b""
                self._message(text, now)

    def _opened(self) -> None:
        refused = self._websocket.handshake_exc
        if refused is None:
            start = Start(
                sample_rate=self._recording.sample_rate,
                encoding=self._recording.encoding,
                chunk_ms=self._target.chunk_ms,
                words=True,
            )
            self._websocket.send_text(encode(start).encode())
        elif isinstance(refused, InvalidStatus):
            status = refused.response.status_code
            self._fail(refusal_of_status(status) or ConnectionFailedError(f"HTTP status {status}"))
        else:
            self._fail(ConnectionFailedError(str(refused)))

    def _message(self, text: bytes, now: float) -> None:
        try:
            message = decode_server(text)
        except WireError as error:
            self._fail(ServerProtocolError(f"not a message of this protocol: {error}"))
            return
        if isinstance(message, Partial):
            self._watch.came(message, now)
        elif isinstance(message, Final):
            self._watch.came(message, now)
            self._played.finals.append(message)
        elif isinstance(message, Ready):
            self._played.ready, self._begin = message, now
            self._send_fast() if self._target.pacing is Pacing.fast else self._schedule()
        elif isinstance(message, Error):
            self._fail(refusal(message.code, message.message))
        elif isinstance(message, Done) and not self.finished.done():
            self._played.done, self._played.stop_s = message, now - self._stopped
            self.finished.set_result(self._played)

    def _schedule(self) -> None:
        """Has the next block sent when its last sample will have been spoken."""
        self._timer.call_at(self._due, self._send_due)

    @property
    def _due(self) -> float:
        return self._begin + self._recording.ends_ms[self._next] / 1000

    def _send_due(self) -> None:
        if not self._sending:
            return
        self._send(self._due)
        if self._next < len(self._recording.frames):
            self._schedule()
        else:
            self._stop()

    def _send_fast(self) -> None:
        for _ in range(FAST_FRAMES):
            if self._paused or not self._sending:
                return
            self._send(self._timer.time())
            if self._next == len(self._recording.frames):
                self._stop()
                return
        self._timer.call_at(self._timer.time(), self._send_fast)

    @property
    def _sending(self) -> bool:
        """Whether there is something to be sent, and somebody to send it to."""
        return not self.finished.done() and self._next < len(self._recording.frames)

    def _send(self, due: float) -> None:
        assert self._transport is not None
        self._transport.write(self._recording.frames[self._next])
        self._next += 1
        self._watch.sent(self._timer.time(), due)

    def _stop(self) -> None:
        self._websocket.send_text(encode(Stop()).encode())
        self._write_out()
        self._stopped = self._timer.time()

    def _write_out(self) -> None:
        """Sends what the websocket has to say: handshake, texts, pongs, closes."""
        assert self._transport is not None
        for data in self._websocket.data_to_send():
            if data and not self._transport.is_closing():
                self._transport.write(data)

    def _fail(self, error: Exception) -> None:
        if not self.finished.done():
            self.finished.set_exception(error)
