"""A small server that serves the page and speaks the native protocol, hears words by the clock, and fails as told.

Every `WORD_MS` of audio are a word, every `SEGMENT_WORDS` words a segment, whatever is said; so what is on the page
tells how much audio came. What came is kept.
"""

import asyncio
import json
import mimetypes
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Self
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from server.app.page import FOLDER, HEADERS
from server.wire import (
    Ack,
    Attention,
    Done,
    Encoding,
    Error,
    ErrorCode,
    Final,
    Partial,
    Ready,
    Resume,
    ServerMessage,
    Start,
    Stop,
    Timing,
    Word,
    decode_client,
    encode,
)
from tests.server.wire.finals import final_of

WORD_MS = 320
SEGMENT_WORDS = 5
FRAME_MS = 80
VOCABULARY = ["perhaps", "the", "harpies", "have", "flown", "over", "my", "table", "😀", "naïve", "words"]
CONFIDENCES = (0.97, 0.8, 0.6, 0.4, 0.1)


def word(number: int) -> Word:
    """The word that is heard in a place."""
    return Word(
        word=VOCABULARY[number % len(VOCABULARY)],
        start_ms=number * WORD_MS + 40,
        end_ms=(number + 1) * WORD_MS - 20,
        confidence=CONFIDENCES[number % len(CONFIDENCES)],
    )


def said(words: int) -> str:
    """What is heard in so many words' time."""
    return " ".join(word(number).word for number in range(words))


def attention(number: int) -> Attention:
    """A picture of the block in which a word is heard: two wordpieces over a look-back of as many frames."""
    frames = 2 * WORD_MS // FRAME_MS
    labels = [f"▁{word(number).word[:3]}", word(number).word[3:]]
    rows = [
        tuple({0: 0.7, 1: 0.15}.get(abs(frame - place), 0.0) for frame in range(frames))
        for place in (frames - 3, frames - 2)
    ]
    pieces = 2 if labels[1] else 1
    return Attention(
        audio_ms=(number + 1) * WORD_MS,
        frame_ms=FRAME_MS,
        labels=tuple(labels[:pieces]),
        weights=tuple(rows[:pieces]),
        end_probability=0.5 + 0.1 * (number % 5),
    )


@dataclass
class Heard:
    """One session, and everything that came in it."""

    start: Start
    audio: bytearray = field(default_factory=bytearray)
    connections: int = 1
    words: int = 0
    finals: list[Final] = field(default_factory=list)

    @property
    def container(self) -> bool:
        """Whether bytes are no samples."""
        return self.start.encoding is Encoding.CONTAINER

    @property
    def samples(self) -> int:
        """Samples that came; a container is taken for 16 bytes a millisecond."""
        return len(self.audio) if self.container else len(self.audio) // 2

    @property
    def audio_ms(self) -> int:
        """The duration of what came."""
        return 1000 * self.samples // (self.start.sample_rate or 16_000)

    def news(self) -> list[ServerMessage]:
        """What the newest audio brought."""
        news: list[ServerMessage] = []
        while (self.words + 1) * WORD_MS <= self.audio_ms:
            self.words += 1
            if self.start.attention:
                news.append(attention(self.words - 1))
            news.append(self.partial())
            if self.words % SEGMENT_WORDS == 0:
                news.append(self.end())
        news.append(Ack(samples=self.samples, bytes=len(self.audio)) if self.container else Ack(samples=self.samples))
        return news

    def partial(self) -> Partial:
        """The open segment; its last word may change."""
        first = len(self.finals) * SEGMENT_WORDS
        texts = [word(number).word for number in range(first, self.words)]
        return Partial(
            segment=len(self.finals),
            text=" ".join(texts),
            stable=len(" ".join(texts[:-1])),
            audio_ms=self.words * WORD_MS,
            timing=Timing(queue_ms=2.0 + self.words % 3, compute_ms=20.0 + 5 * (self.words % 4)),
        )

    def end(self) -> Final:
        """End the open segment."""
        words = tuple(word(number) for number in range(len(self.finals) * SEGMENT_WORDS, self.words))
        final = final_of(len(self.finals), " ".join(w.word for w in words), words=words)
        self.finals.append(final)
        return final

    def finish(self) -> list[ServerMessage]:
        """End the session."""
        news: list[ServerMessage] = [self.end()] if self.words > len(self.finals) * SEGMENT_WORDS else []
        return [*news, Done(samples=self.samples, audio_ms=self.audio_ms, segments=len(self.finals))]


class PageServer:
    """Listens on a free port of the loopback interface, as an asynchronous context.

    Attributes:
        sessions: All that there were.
        tokens: The bearer token of each connection, None without.
        refusal: What new connections are refused with.
        away: Whether connections are broken off before they come about, and `/readyz` does not answer.
        cut_at_words: The connection breaks when this many words were heard in a session, once.
        silent: Nothing is answered any more.
        held: Whether `stop` gets no answer.
        read_on: While it is clear, nothing is read of a session in which words were heard.
        strict: Whether what `stop` ends is damaged: it broke off.
        end_at_words: The session is ended with this error when this many words were heard.
    """

    def __init__(self) -> None:
        self.sessions: list[Heard] = []
        self.tokens: list[str | None] = []
        self.refusal: ErrorCode | None = None
        self.away = self.silent = self.held = self.strict = False
        self.read_on = asyncio.Event()
        self.read_on.set()
        self.cut_at_words: int | None = None
        self.end_at_words: tuple[int, ErrorCode] | None = None
        self._server: Server

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._stream, "127.0.0.1", 0, process_request=self._http, select_subprotocol=self._choose, compression=None
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        for connection in list(self._server.connections):
            connection.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    def url(self, host: str = "127.0.0.1") -> str:
        """Of the page."""
        return f"http://{host}:{next(iter(self._server.sockets)).getsockname()[1]}/"

    @staticmethod
    def _choose(connection: ServerConnection, offered: list[Subprotocol]) -> Subprotocol | None:
        return offered[0] if offered else None

    def _http(self, connection: ServerConnection, request: Request) -> Response | None:
        """Files of the page and `/readyz`; a websocket goes on."""
        path = urlsplit(request.path).path
        if path == "/v1/stream" and not self.away:
            return None
        if self.away:
            connection.transport.abort()
            return Response(503, "away", Headers())
        if path == "/readyz":
            about = {
                "status": "ready",
                "model": "test-model",
                "chunks_ms": [320, 160, 640],
                "device": "cpu",
                "beam": 8,
            }
            return self._answer(json.dumps(about).encode(), "application/json")
        file = FOLDER / (path.lstrip("/") or "index.html")
        if not file.is_file() or FOLDER not in file.resolve().parents:
            return self._answer(b"not found", "text/plain", HTTPStatus.NOT_FOUND)
        return self._answer(file.read_bytes(), mimetypes.guess_type(file.name)[0] or "application/octet-stream")

    @staticmethod
    def _answer(body: bytes, content_type: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
        headers = Headers({**HEADERS, "Content-Type": content_type, "Content-Length": str(len(body))})
        headers["Connection"] = "close"
        return Response(status.value, status.phrase, headers, body)

    async def _stream(self, connection: ServerConnection) -> None:
        offered = connection.request.headers.get("Sec-WebSocket-Protocol", "") if connection.request else ""
        bearers = [name.strip().removeprefix("bearer.") for name in offered.split(",") if "bearer." in name]
        self.tokens.append(bearers[0] if bearers else None)
        try:
            if self.refusal is not None:
                await self._end(connection, self.refusal)
                return
            heard = await self._greet(connection)
            if heard is not None:
                await self._hear(connection, heard)
        except ConnectionClosed:
            pass

    async def _end(self, connection: ServerConnection, code: ErrorCode) -> None:
        await connection.send(encode(Error(code=code, message="the server's own words")))
        await connection.close(code.close_code, "the server's own words")

    async def _greet(self, connection: ServerConnection) -> Heard | None:
        message = decode_client(await connection.recv())
        if isinstance(message, Resume):
            number = int(message.session.removeprefix("s"))
            heard = self.sessions[number]
            assert message.resume == f"r{number}.{heard.connections}"
            heard.connections += 1
        else:
            assert isinstance(message, Start)
            heard = Heard(message)
            self.sessions.append(heard)
            number = len(self.sessions) - 1
        ready = Ready(
            session=f"s{number}",
            resume=f"r{number}.{heard.connections}",
            chunk_ms=heard.start.chunk_ms or 320,
            lookahead_ms=0,
            model="test-model",
            received_samples=heard.samples,
            **({"received_bytes": len(heard.audio)} if heard.container else {}),
        )
        await connection.send(encode(ready))
        for final in heard.finals[message.segments if isinstance(message, Resume) else 0 :]:
            await connection.send(encode(final))
        return heard

    async def _hear(self, connection: ServerConnection, heard: Heard) -> None:
        async for frame in connection:
            if self.silent:
                continue
            news: list[ServerMessage] = []
            if isinstance(frame, bytes):
                heard.audio += frame
                news = heard.news()
            elif isinstance(decode_client(frame), Stop) and not self.held:
                news = heard.finish()
                if self.strict:
                    news.insert(0, Error(code=ErrorCode.INVALID_AUDIO, message="the audio breaks off"))
            if self.cut_at_words is not None and heard.words >= self.cut_at_words:
                self.cut_at_words = None
                connection.transport.abort()
                return
            for message in news:
                await connection.send(encode(message))
            if self.end_at_words is not None and heard.words >= self.end_at_words[0]:
                await self._end(connection, self.end_at_words[1])
                return
            if news and isinstance(news[-1], Done):
                await connection.close(ErrorCode.INVALID_AUDIO.close_code if self.strict else 1000)
                return
            if heard.words:
                await self.read_on.wait()
