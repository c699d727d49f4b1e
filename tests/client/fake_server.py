"""A small server that speaks the native protocol, hears words in numbers, and fails as a test tells it to.

Its audio is 16-bit samples at 16 kHz. Every `WORD_SAMPLES` of them are a word, named by the first of them; every
`SEGMENT_WORDS` words are a segment. So what was said tells which samples came, in which order and how often.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self

import numpy as np
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from server.wire import (
    Ack,
    Done,
    Encoding,
    Error,
    ErrorCode,
    Final,
    Flush,
    Flushed,
    Partial,
    Ready,
    Resume,
    ServerMessage,
    Start,
    Timing,
    Word,
    decode_client,
    encode,
)
from tests.server.wire.finals import final_of

RATE = 16_000
WORD_SAMPLES = 800  # 50 ms
SEGMENT_WORDS = 4
ACK_SAMPLES = 1_600


def speech(words: int, first: int = 1) -> bytes:
    """Audio in which the fake server hears `words` words, numbered from `first`."""
    return np.repeat(np.arange(first, first + words, dtype="<i2"), WORD_SAMPLES).tobytes()


def said(words: int, first: int = 1) -> str:
    """What it hears there."""
    return " ".join(f"w{n}" for n in range(first, first + words))


@dataclass
class Fault:
    """What goes wrong on one connection.

    Attributes:
        status: HTTP status that refuses the handshake.
        before_ready: Frames, or the word "abort", instead of `ready`.
        abort_at: Samples of the session after which the connection breaks, events of the last frame unsent.
        abort_at_stop: The connection breaks when `stop` came, before anything is answered.
        error_at: Samples after which `error` is sent, and the connection closed with its code.
        error: As above.
        close_at: Samples after which the connection is closed with `close_code` and no error.
        close_code: As above.
        instead_of_done: Frames, or the word "abort", instead of `done`.
        insert: Frames sent after the first audio.
        repeat: All events of the session are sent again after `ready`, whatever the client has.
        mute: No acknowledgements, no events.
    """

    status: int | None = None
    before_ready: tuple[str | bytes, ...] | None = None
    abort_at: float = math.inf
    abort_at_stop: bool = False
    error_at: float = math.inf
    error: ErrorCode = ErrorCode.INTERNAL
    close_at: float = math.inf
    close_code: int = 1001
    instead_of_done: tuple[str, ...] | None = None
    insert: tuple[str | bytes, ...] = ()
    repeat: bool = False
    mute: bool = False


@dataclass
class FakeSession:
    """What the server knows of a session."""

    start: Start
    token: int = 0
    received: bytearray = field(default_factory=bytearray)
    words: list[Word] = field(default_factory=list)  # of the open segment
    finals: list[Final] = field(default_factory=list)
    heard: int = 0  # samples that became words
    partial: Partial | None = None
    stopped: bool = False

    @property
    def samples(self) -> int:
        return len(self.received) // 2

    def hear(self) -> list[ServerMessage]:
        """Events of what came last."""
        news: list[ServerMessage] = []
        samples = np.frombuffer(self.received[: 2 * self.samples], "<i2")
        while self.heard + WORD_SAMPLES <= len(samples):
            start_ms = self.heard // 16
            word = Word(word=f"w{samples[self.heard]}", start_ms=start_ms, end_ms=start_ms + 50, confidence=0.5)
            self.words.append(word)
            self.heard += WORD_SAMPLES
            self.partial = Partial(
                segment=len(self.finals),
                text=" ".join(w.word for w in self.words),
                stable=0,
                audio_ms=self.heard // 16,
                timing=Timing(queue_ms=1.0, compute_ms=2.0),
            )
            news.append(self.partial)
            if len(self.words) == SEGMENT_WORDS:
                news += self.end_segment()
        return news

    def end_segment(self) -> list[ServerMessage]:
        if not self.words:
            return []
        text = " ".join(w.word for w in self.words)
        words = tuple(self.words) if self.start.words else ()
        self.finals.append(final_of(len(self.finals), text, words=words))
        self.words, self.partial = [], None
        return [self.finals[-1]]


class FakeServer:
    """The server; `async with` runs it.

    Attributes:
        faults: One for each connection to come, then none.
        token: Bearer token asked for; None: none.
        forgetful: Whether it forgets a session as soon as its connection is lost.
        sessions: By their names.
        greetings: The first message of each connection.
        requests: The handshakes.
        flushes: Samples that had come at each `flush`.
        stops: How often `stop` came.
        subprotocols: Chosen on each connection.
    """

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self.faults = deque(faults)
        self.token: str | None = None
        self.forgetful = False
        self.sessions: dict[str, FakeSession] = {}
        self.greetings: list[Start | Resume] = []
        self.requests: list[Request] = []
        self.flushes: list[int] = []
        self.stops = 0
        self.subprotocols: list[str | None] = []
        self.heard = asyncio.Condition()
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle,
            "127.0.0.1",
            0,
            subprotocols=["earshot.v1"],
            process_request=self._admit,
            compression=None,
            close_timeout=1,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()
        return f"ws://{host}:{port}"

    @property
    def session(self) -> FakeSession:
        """The only session."""
        (session,) = self.sessions.values()
        return session

    async def until(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Waits until a message makes the condition true."""
        async with asyncio.timeout(timeout_s), self.heard:
            await self.heard.wait_for(condition)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self.faults and self.faults[0].status is not None:
            return connection.respond(HTTPStatus(self.faults.popleft().status or 0), "no\n")
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return connection.respond(HTTPStatus.UNAUTHORIZED, "no\n")
        if request.path != "/v1/stream":
            return connection.respond(HTTPStatus.NOT_FOUND, "no\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        fault = self.faults.popleft() if self.faults else Fault()
        self.subprotocols.append(connection.subprotocol)
        try:
            await _Conversation(self, connection, fault).run()
        except ConnectionClosed:
            pass
        finally:
            if self.forgetful:
                self.sessions.clear()


class _Conversation:
    """One connection."""

    def __init__(self, server: FakeServer, connection: ServerConnection, fault: Fault) -> None:
        self.server, self.connection, self.fault = server, connection, fault

    async def run(self) -> None:
        greeting = decode_client(await self.connection.recv())
        assert isinstance(greeting, Start | Resume), greeting
        self.server.greetings.append(greeting)
        if self.fault.before_ready is not None:
            for frame in self.fault.before_ready:
                await self._abort() if frame == "abort" else await self.connection.send(frame)
            await self.connection.wait_closed()
            return
        name = greeting.session if isinstance(greeting, Resume) else f"s{len(self.server.sessions)}"
        if isinstance(greeting, Start):
            self.server.sessions[name] = FakeSession(greeting)
        session = self.server.sessions.get(name)
        if session is None or (isinstance(greeting, Resume) and greeting.resume != f"t{session.token}"):
            await self._refuse(ErrorCode.UNKNOWN_SESSION)
            return
        session.token += 1
        await self._open(session, name, greeting)
        insert = list(self.fault.insert)
        async for frame in self.connection:
            await (self._audio(session, frame, insert) if isinstance(frame, bytes) else self._text(session, frame))
            async with self.server.heard:
                self.server.heard.notify_all()

    async def _open(self, session: FakeSession, name: str, greeting: Start | Resume) -> None:
        del session.received[2 * session.samples :]  # a half of a sample
        container = session.start.encoding is Encoding.CONTAINER
        extra = {"received_bytes": len(session.received)} if container else {}
        ready = Ready(
            session=name,
            resume=f"t{session.token}",
            chunk_ms=session.start.chunk_ms or 50,
            lookahead_ms=0,
            model="fake",
            received_samples=session.samples,
            **extra,
        )
        await self._send(ready)
        if isinstance(greeting, Resume):
            first = 0 if self.fault.repeat else greeting.segments
            await self._send(*session.finals[first:], *([session.partial] if session.partial else []))
            if session.stopped:
                await self._conclude(session)

    async def _audio(self, session: FakeSession, frame: bytes, insert: list[str | bytes]) -> None:
        fault = self.fault
        most = fault.abort_at * 2 - len(session.received)
        if len(frame) > most:
            session.received += frame[: int(most)]
            session.hear()
            await self._abort()
        before = session.samples
        session.received += frame
        news = session.hear()
        if not fault.mute:
            await self._send(*news)
            if session.samples // ACK_SAMPLES > before // ACK_SAMPLES:
                container = session.start.encoding is Encoding.CONTAINER
                extra = {"bytes": len(session.received)} if container else {}
                await self._send(Ack(samples=session.samples, **extra))
        while insert:
            await self.connection.send(insert.pop(0))
        if session.samples >= fault.error_at:
            await self._refuse(fault.error)
        elif session.samples >= fault.close_at:
            await self.connection.close(fault.close_code, "as told")

    async def _text(self, session: FakeSession, frame: str) -> None:
        message = decode_client(frame)
        if isinstance(message, Flush):
            self.server.flushes.append(session.samples)
            await self._send(*session.end_segment(), Flushed(samples=session.samples))
            return
        self.server.stops += 1
        session.stopped = True
        last = session.end_segment()
        if self.fault.abort_at_stop:
            await self._abort()
        await self._send(*last)
        if self.fault.instead_of_done is not None:
            for text in self.fault.instead_of_done:
                await self._abort() if text == "abort" else await self.connection.send(text)
            await self.connection.wait_closed()
            return
        await self._conclude(session)

    async def _conclude(self, session: FakeSession) -> None:
        rate = session.start.sample_rate or RATE
        await self._send(
            Done(samples=session.samples, audio_ms=1000 * session.samples // rate, segments=len(session.finals))
        )
        await self.connection.close(1000, "done")

    async def _send(self, *messages: ServerMessage) -> None:
        for message in messages:
            await self.connection.send(encode(message))

    async def _refuse(self, code: ErrorCode) -> None:
        await self._send(Error(code=code, message="as told"))
        await self.connection.close(code.close_code, "as told")

    async def _abort(self) -> None:
        self.connection.transport.abort()
        await self.connection.wait_closed()
        raise ConnectionClosed(None, None)
