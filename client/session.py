"""The client's side of a session, without I/O: what to send, what came, and how to go on after a lost connection.

The caller connects, sends the `greeting`, then everything that `next_frame` gives, and hands in every frame that
comes (`receive`) and the connection's end (`disconnected`), after which it connects again unless that says why not.
No audio is lost because what is not acknowledged is kept (`PendingAudio`) and sent again; no word is lost or doubled
because finals are numbered.
"""

from typing import NoReturn

from client.errors import (
    ConnectionFailedError,
    EarshotError,
    RefusedError,
    ServerProtocolError,
    SessionClosedError,
    refusal,
    refusal_of_close,
)
from client.inbox import Event
from client.ledger import PendingAudio
from client.news import News
from client.policy import OUR_FAULT, SUSPENDED, TRANSIENT
from client.states import State
from server.wire import (
    ACK_BYTES,
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
    Stop,
    WireError,
    decode_client,
    decode_server,
    encode,
)
from server.wire.pcm import BYTES_PER_SAMPLE

MAX_FRAME_BYTES = 32 * 1024
"""Longest binary frame sent: well below what servers and proxies accept."""
CONTAINER_BYTES_PER_SECOND = 48_000
"""Of a compressed file, for bounding what is kept of it in seconds: more than most have."""
LEAST_S = 1.0
"""Of bare samples, kept at least: half a second may come before the server acknowledges any."""


class Session:
    """One session, over as many connections as it takes.

    Args:
        start: What to ask the server for.
        pending_s: Seconds of audio that are kept until the server acknowledges them; at least what may come before it
            acknowledges any.

    Attributes:
        state: Where it stands.
        ready: The server's newest `Ready`; None before the first.
        done: The server's totals at the end; None before.
        stopping: Whether there will be no more audio.

    Raises:
        ValueError: if `start` asks for what the protocol does not allow, or the time is not positive.
    """

    def __init__(self, start: Start, pending_s: float = 60.0) -> None:
        """Starts without a connection and without audio."""
        decode_client(encode(start))  # structs do not check their fields when they are made
        if not pending_s > 0:
            raise ValueError(f"expected pending_s > 0, got {pending_s}")
        self.start = start
        self.state = State.DISCONNECTED
        self.ready: Ready | None = None
        self.done: Done | None = None
        self.stopping = False
        self._width = BYTES_PER_SAMPLE.get(start.encoding, 1)  # bytes in which the server counts
        per_second = (start.sample_rate or 0) * self._width if self._bare else CONTAINER_BYTES_PER_SECOND
        least = int(LEAST_S * per_second) if self._bare else ACK_BYTES
        self._pending = PendingAudio(max(least, int(pending_s * per_second)))
        self._flushed = -1  # byte up to which a flush was answered
        self._stop_sent = False  # on this connection
        self._may_be_done = False  # whether it was sent on any
        self._news = News()
        self._error: RefusedError | None = None  # the server's, which ends the session when its connection ends

    @property
    def segments(self) -> int:
        """Finals received."""
        return self._news.segments

    @property
    def _bare(self) -> bool:
        return self.start.encoding is not Encoding.CONTAINER

    # What the application does

    @property
    def room(self) -> int:
        """Bytes of audio that may be added now."""
        return self._pending.room

    def add(self, data: bytes | memoryview) -> None:
        """Adds audio, at most `room` bytes.

        Raises:
            SessionClosedError: after `stop` or the end.
            ValueError: for more than there is room for.
        """
        self._expect_running()
        self._pending.add(data)

    def flush(self) -> int:
        """Asks for everything so far to be final.

        Returns:
            What to give `flushed`.

        Raises:
            SessionClosedError: after `stop` or the end.
            ValueError: for containers, whose bytes cannot be told apart in time, or if the audio ends inside a sample.
        """
        self._expect_running()
        if not self._bare:
            raise ValueError("expected bare samples to flush, got a container: send PCM instead")
        self._expect_whole_samples()
        if self._pending.end > self._flushed:
            self._pending.flush()
        return self._pending.end

    def flushed(self, position: int) -> bool:
        """Whether the server has answered a flush."""
        return self._flushed >= position

    def stop(self) -> None:
        """There will be no more audio; may be repeated.

        Raises:
            ValueError: if the audio ends inside a sample.
        """
        self._expect_whole_samples()
        self.stopping = True

    # What the connection does

    def greeting(self) -> str:
        """A connection was made: the first frame to send on it."""
        if self.state is not State.DISCONNECTED:
            raise SessionClosedError(f"expected a session without a connection, got state {self.state.name}")
        self.state = State.GREETING
        self._stop_sent = False
        if self.ready is None:
            return encode(self.start)
        return encode(Resume(session=self.ready.session, resume=self.ready.resume, segments=self.segments))

    @property
    def has_frame(self) -> bool:
        """Whether `next_frame` has one."""
        rest = not self._pending.all_sent or (self.stopping and not self._stop_sent)
        return self.state is State.OPEN and rest

    def next_frame(self) -> str | bytes | None:
        """What to send now, text or binary; None if there is nothing."""
        if self.state is not State.OPEN:
            return None
        if self._pending.take_flush():
            return encode(Flush())
        audio = self._pending.next_audio(MAX_FRAME_BYTES)
        if audio is None and self.stopping and not self._stop_sent:
            self._stop_sent = self._may_be_done = True
            return encode(Stop())
        return audio

    def receive(self, frame: str | bytes) -> list[Event]:
        """A frame came.

        Returns:
            What is news to the application.

        Raises:
            EarshotError: if the session is over because of it.
        """
        if isinstance(frame, bytes):
            self._fail(ServerProtocolError(f"expected text from the server, got {len(frame)} binary bytes"))
        try:
            message = decode_server(frame)
        except WireError as error:
            self._fail(ServerProtocolError(f"not a message of this protocol: {error}"))
        if isinstance(message, Error):
            self._refused(refusal(message.code, message.message))
            return []
        expected = State.GREETING if isinstance(message, Ready) else State.OPEN
        if self.state is not expected:
            name = type(message).__name__
            self._fail(ServerProtocolError(f"expected no {name} in state {self.state.name}"))
        try:
            return self._take(message)
        except ValueError as error:
            self._fail(ServerProtocolError(f"the server lost count: {error}"))

    def disconnected(self, code: int | None, reason: str) -> EarshotError | None:
        """The connection ended.

        Args:
            code: Its close code; None if it never came about or broke.
            reason: The text beside the code.

        Returns:
            None if the session is done, or is to be resumed on a new connection; else why it is over.
        """
        if self.state in (State.DONE, State.FAILED):
            return None
        greeting = self.state is State.GREETING
        self.state = State.DISCONNECTED
        error: EarshotError | None = refusal_of_close(code, reason)
        if self._error is not None and code == self._error.code.close_code:
            error = self._error
        if isinstance(error, RefusedError) and self.ready is not None:
            may_pass = error.code in TRANSIENT and greeting
            error = None if error.code in SUSPENDED or may_pass else error
            if error is None:
                self._error = None
        elif error is None and self.ready is None:
            told = f": {reason}" if reason else ""
            error = ConnectionFailedError(f"the connection ended (code {code}) before the server was ready{told}")
        if error is not None:
            self.state = State.FAILED
        return error

    def _expect_running(self) -> None:
        if self.stopping or self.state in (State.DONE, State.FAILED):
            raise SessionClosedError("the session takes no more audio: open another one")

    def _expect_whole_samples(self) -> None:
        if self._pending.end % self._width:
            raise ValueError(
                f"expected a multiple of {self._width} bytes of {self.start.encoding}, got {self._pending.end}"
            )

    def _fail(self, error: EarshotError) -> NoReturn:
        self.state = State.FAILED
        raise error

    def _refused(self, error: RefusedError) -> None:
        """The server's errors come before its close, and finals may come in between."""
        resuming = self.ready is not None
        if self.state is State.GREETING and not (resuming and error.code in TRANSIENT):
            # A session that failed and is gone when we ask after it failed for the reason that was told first.
            gone = error.code is ErrorCode.UNKNOWN_SESSION and self._error is not None
            self._fail(self._error if gone and self._error else error)
        if error.code in OUR_FAULT:
            self._fail(error)
        self._error = error

    def _take(self, message: ServerMessage) -> list[Event]:
        if isinstance(message, Ready):
            self._opened(message)
        elif isinstance(message, Ack):
            self._pending.acknowledge(self._bytes(message.samples, message.bytes))
        elif isinstance(message, Flushed):
            self._flushed = max(self._flushed, message.samples * self._width)
            self._pending.flushed(self._flushed)
        elif isinstance(message, Done):
            self._finished(message)
        elif isinstance(message, Partial | Final) and self._news.is_news(message):
            return [message]
        return []

    def _opened(self, ready: Ready) -> None:
        position = self._bytes(ready.received_samples, ready.received_bytes)
        if self.ready is not None and ready.session != self.ready.session:
            raise ValueError("expected the session that was to be resumed, got another")
        self._pending.rewind(position)
        self.ready, self.state = ready, State.OPEN
        self._error = None  # outlasted; one that ends the session is told again

    def _bytes(self, samples: int, of_container: object) -> int:
        """A position in bytes, which the server tells in samples or, of a container, in bytes."""
        if self._bare:
            return samples * self._width
        if isinstance(of_container, int):
            return of_container
        if samples:
            raise ValueError("expected bytes of the container, got samples alone")
        return 0

    def _finished(self, done: Done) -> None:
        if done.segments != self.segments:
            raise ValueError(f"expected {self.segments} finals in all, got {done.segments}")
        if self._error is not None:
            self._fail(self._error)
        if not self._may_be_done:
            raise ValueError("expected no end before stop")
        if self._bare and done.samples * self._width != self._pending.end:
            sent = self._pending.end // self._width
            raise ValueError(f"expected {sent} samples received in all, got {done.samples}")
        self.done, self.state = done, State.DONE
