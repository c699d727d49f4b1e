"""Audio on its way from a connection to its session: decoded, in a thread where that may take long."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import Counter

from server.app.connection import Connection
from server.app.seat import Seat, Step
from server.audio import AudioError
from server.session import Session, State
from server.wire import ErrorCode

RATE = 16_000  # samples a second, once decoded
NOTHING = np.zeros(0, np.float32)

Samples = NDArray[np.float32]


class Hearing:
    """Decodes; what was taken from a connection reaches the session even if the connection is lost meanwhile.

    Args:
        frame_bytes: Longest frame.
        received: Counts seconds of audio.
        run: Lets something happen to a session.
    """

    def __init__(self, frame_bytes: int, received: Counter, run: Callable[[Seat, Step], object]) -> None:
        """Starts without threads at work."""
        self._frame_bytes, self._received, self._run = frame_bytes, received, run
        self._tasks: set[asyncio.Task[None]] = set()

    async def hear(self, seat: Seat, data: bytes) -> None:
        """A binary frame came on the seat's connection; returns when it is the session's."""
        session, decoder = seat.session, seat.decoder
        if len(data) > self._frame_bytes:
            text = f"expected at most {self._frame_bytes} bytes of audio in a frame, got {len(data)}"
            self._run(seat, lambda now: session.refuse(ErrorCode.MESSAGE_TOO_BIG, text))
        elif decoder is None or not _listens(session):
            self._run(seat, lambda now: session.receive_audio(NOTHING, 0, now))
        elif decoder.blocking:
            await asyncio.shield(self._start(self._hear(seat, seat.connection, data)))
        else:
            await self._hear(seat, seat.connection, data)

    def finish(self, seat: Seat) -> None:
        """No more audio will come: the decoder's rest follows what is still being decoded."""
        self._start(self._finish(seat))

    def background(self, work: Callable[[], None]) -> None:
        """Do something in a thread that nobody waits for."""
        self._start(asyncio.to_thread(work))

    async def stop(self) -> None:
        """Wait for the threads that are still at work."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _hear(self, seat: Seat, connection: Connection | None, data: bytes) -> None:
        """Decode a frame."""
        async with seat.decoding:
            decoder, session = seat.decoder, seat.session
            assert decoder is not None
            if seat.connection is not connection or not _listens(session):
                return  # while the frame before was decoded, the session was resumed elsewhere or ended
            samples = await self._decode(seat, lambda: decoder.decode(data))
            if samples is None:
                return
            self._received.inc(len(samples) / RATE)
            if _listens(session):
                source_samples, source_bytes = decoder.samples, decoder.received_bytes
                self._run(seat, lambda now: session.receive_audio(samples, source_samples, now, source_bytes))
            else:  # the server ended it during the decoding; `finish` waits for us
                seat.late = samples

    async def _finish(self, seat: Seat) -> None:
        """Take the rest out of the decoder."""
        async with seat.decoding:
            decoder, session = seat.decoder, seat.session
            assert decoder is not None
            rest = await self._decode(seat, decoder.finish)
            if rest is not None:
                self._received.inc(len(rest) / RATE)
                samples = np.concatenate([seat.late, rest])
                source_samples, source_bytes = decoder.samples, decoder.received_bytes
                self._run(seat, lambda now: session.audio_finished(samples, source_samples, now, source_bytes))

    async def _decode(self, seat: Seat, work: Callable[[], Samples]) -> Samples | None:
        """What the decoder gives; None if it fails, of which the session was then told."""
        decoder, session = seat.decoder, seat.session
        assert decoder is not None
        try:
            return await asyncio.to_thread(work) if decoder.blocking else work()
        except AudioError as error:
            self._received.inc(len(error.samples) / RATE)
            text, samples = str(error), np.concatenate([seat.late, error.samples])
            source_samples, source_bytes = decoder.samples, decoder.received_bytes
            self._run(seat, lambda now: session.audio_damaged(text, samples, source_samples, now, source_bytes))
        except Exception as error:
            fault = error
            if session.state is not State.DONE:  # else the decoder was closed under us

                def fail(now: float) -> list[Any]:
                    raise fault

                self._run(seat, fail)
        return None

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin work that goes on whoever waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _listens(session: Session) -> bool:
    """Whether the session takes audio now; it may not any more after a wait."""
    return session.accepts_audio
