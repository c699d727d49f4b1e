"""A live session with a server: the websocket around the sans-I/O session."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from client.address import stream_url
from client.backoff import Backoff
from client.broadcast import Broadcast
from client.dial import Dial, dialer
from client.errors import ConnectionLostError, SessionClosedError, TooSlowError
from client.inbox import Event, Inbox
from client.link import Link, Sleep
from client.session import Session
from client.states import State
from server.wire import Done, Encoding, Endpoint, Ready, Start
from server.wire.pcm import encode as encode_samples

Audio = bytes | bytearray | memoryview | NDArray[np.floating]


def connect(
    url: str,
    *,
    sample_rate: int | None = 16_000,
    encoding: Encoding = Encoding.S16LE,
    token: str | None = None,
    chunk_ms: int | None = None,
    words: bool = False,
    phrases: Sequence[str] = (),
    silence_ms: int = 800,
    pending_s: float = 60.0,
    backoff: Backoff | None = None,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 10.0,
    ping_s: float = 20.0,
) -> "LiveSession":
    """A session, to be opened with `async with`.

    Args:
        url: Of the server, such as `ws://localhost:8080`.
        sample_rate: Samples per second of the audio to come, in hertz, 8000 to 48000; None for containers.
        encoding: What bytes are that are sent; arrays are encoded so.
        token: Bearer token.
        chunk_ms: Audio recognised at a time, in milliseconds; None: the server's default.
        words: Whether finals carry words with times and confidence.
        phrases: Names and terms to favour.
        silence_ms: Silence that ends a segment, in milliseconds.
        pending_s: Audio that is kept for sending again, in seconds, at least 1 (of a container 64 KiB); past it,
            `send` waits for the server.
        backoff: When to try again after a lost connection.
        tls: For `wss`; None: the system's certificates.
        timeout_s: For making a connection and for the server's first answer, in seconds.
        ping_s: Time between pings and for their answers, in seconds.

    Raises:
        ValueError: for an option out of range.
    """
    start = Start(
        sample_rate=sample_rate,
        encoding=encoding,
        chunk_ms=chunk_ms,
        phrases=tuple(phrases),
        endpoint=Endpoint(silence_ms=silence_ms),
        words=words,
    )
    dial = dialer(stream_url(url), token, tls, timeout_s, ping_s)
    return LiveSession(Session(start, pending_s), dial, backoff or Backoff(), timeout_s)


class LiveSession:
    """Audio in, events out; lost connections are made again and the session resumed.

    Iterating gives `Partial` and `Final` events and ends after `stop`. Leaving the `async with` block without `stop`
    abandons the session: what is not final then never will be.

    Args:
        session: The state machine.
        dial: Makes connections.
        backoff: When to make them again.
        timeout_s: For the server's answer to a connection, in seconds.
        sleep: Waits, in seconds.
        inbox: Of unread events.
    """

    def __init__(
        self,
        session: Session,
        dial: Dial,
        backoff: Backoff,
        timeout_s: float = 10.0,
        sleep: Sleep = asyncio.sleep,
        inbox: Inbox | None = None,
    ) -> None:
        """Does not connect yet."""
        self._session, self._inbox, self._changed = session, inbox or Inbox(), Broadcast()
        self._link = Link(session, dial, backoff, timeout_s, self._changed, self._deliver, sleep)
        self._error: Exception | None = None
        self._task: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    @property
    def ready(self) -> Ready:
        """What the server said when the session was opened or last resumed: model, chunk size, session name."""
        if self._session.ready is None:
            raise SessionClosedError("the session is not open yet: use `async with`")
        return self._session.ready

    @property
    def connected(self) -> bool:
        """Whether audio flows at the moment; if not, it is kept until the connection is back."""
        return self._session.state is State.OPEN

    async def __aenter__(self) -> Self:
        """Connects and opens the session.

        Raises:
            EarshotError: if that does not work; nothing is tried twice here.
        """
        if self._task is not None:
            raise SessionClosedError("a session is opened once: call connect again")
        self._task = asyncio.create_task(self._run())
        try:
            await self._until(lambda: self._session.ready is not None)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connection."""
        await self._close()

    async def send(self, audio: Audio) -> None:
        """Sends audio: bytes in the session's encoding, cut anywhere, or [N] floating-point samples in [-1, 1].

        Returns when the audio is safe with this client; waits while more than `pending_s` of it is unacknowledged.

        Raises:
            EarshotError: if the session is over.
            SessionClosedError: after `stop`.
            ValueError: for an array of another shape or kind.
        """
        data = memoryview(self._encoded(audio))
        async with self._sending:  # two senders' audio must not mix
            while True:
                piece = data[: self._session.room]
                self._raise_if_over()
                self._session.add(piece)
                self._changed.wake()
                data = data[len(piece) :]
                if not data:
                    return
                await self._until(lambda: self._session.room > 0)

    async def flush(self) -> None:
        """Makes everything sent so far final; returns when its finals are there to be read.

        Raises:
            EarshotError: if the session is over.
            SessionClosedError: after `stop`.
            ValueError: for containers, or if the audio ends inside a sample.
        """
        self._raise_if_over()
        position = self._session.flush()
        self._changed.wake()
        await self._until(lambda: self._session.flushed(position))

    async def stop(self) -> Done:
        """Makes everything final; returns the server's totals when the last event is there to be read.

        Raises:
            EarshotError: if the session is over for another reason.
            ValueError: if the audio ends inside a sample.
        """
        self._raise_if_over()
        self._session.stop()
        self._changed.wake()
        await self._until(lambda: self._session.done is not None)
        assert self._session.done is not None
        return self._session.done

    def __aiter__(self) -> AsyncIterator[Event]:
        """The events: see `__anext__`."""
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            StopAsyncIteration: after the last.
            EarshotError: if the session is over for another reason; all events that came are given before.
        """
        while not self._inbox:
            if self._session.state is State.DONE:
                raise StopAsyncIteration
            self._raise_if_over()
            await self._until(lambda: bool(self._inbox) or self._session.state is State.DONE)
        return self._inbox.get()

    def _encoded(self, audio: Audio) -> bytes | bytearray | memoryview:
        if isinstance(audio, bytes | bytearray | memoryview):
            return audio
        samples = np.asarray(audio)
        if not np.issubdtype(samples.dtype, np.floating):
            raise ValueError(f"expected bytes or floating-point samples, got an array of {samples.dtype}")
        return encode_samples(samples, self._session.start.encoding)

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Waits for the condition or the end, whichever comes first."""
        await self._changed.until(lambda: condition() or self._error is not None)
        if not condition():
            self._raise_if_over()

    def _raise_if_over(self) -> None:
        if self._error is not None:
            raise self._error
        if self._task is None or (self._task.done()):
            raise SessionClosedError("the session is not open: use `async with`")

    async def _close(self) -> None:
        if self._task is not None:
            if self._session.state is not State.DONE:  # else it is closing the connection already
                self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._session.done is None and self._error is None:
            self._error = ConnectionLostError("the session was left before it was stopped")
        self._changed.wake()

    async def _run(self) -> None:
        try:
            await self._link.run()
        except Exception as error:  # whoever uses the session is told, a fault of ours included
            self._error = error
        finally:
            self._changed.wake()

    def _deliver(self, event: Event) -> None:
        try:
            self._inbox.put(event)
        except OverflowError as error:
            raise TooSlowError(str(error)) from None
