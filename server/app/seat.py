"""A session with what belongs to it: its connection, its decoder, its timer."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from server.app.connection import Connection
from server.audio import AudioDecoder
from server.session import Action, Session

Step = Callable[[float], Sequence[Action]]
"""Something that happens to a session, at a time in seconds, and what it says to do about it."""
SOONEST_S = 0.01  # so that a deadline that a tick does not move cannot keep the event loop busy


@dataclass(eq=False)
class Seat:
    """The state machine cannot wait, decode or connect; this is what does so for it.

    Attributes:
        session: What decides.
        connection: Where its messages go, the latest it had.
        decoder: Of its audio, once it has started.
        chunk_ms: Duration of its chunks, in milliseconds; 0 before it has started.
        opened: When it started, in seconds of the event loop's time.
        decoding: Held while a thread decodes: the next frame, the end of the audio and a new connection wait for it.
        late: What was decoded when the session took no more audio but its end, [N] at 16 kHz.
        room: Set while more audio may be read from the connection.
    """

    session: Session
    connection: Connection | None
    decoder: AudioDecoder | None = None
    chunk_ms: int = 0
    opened: float = 0.0
    late: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    decoding: asyncio.Lock = field(default_factory=asyncio.Lock)
    room: asyncio.Event = field(default_factory=asyncio.Event)
    _timer: asyncio.TimerHandle | None = None

    def settle(self, now: float, on_time: Callable[["Seat"], None]) -> None:
        """After anything has happened: see when time has to pass next and whether audio may come.

        A timer that is early is left: it then finds nothing to do and is set anew, which costs less than moving it
        with every message.

        Args:
            now: The event loop's time, in seconds.
            on_time: Called when the session's deadline has come.
        """
        if self.connection is None or self.connection.closing or not self.session.full:
            self.room.set()
        else:
            self.room.clear()
        deadline = max(self.session.next_deadline(), now + SOONEST_S)
        if self._timer is not None and self._timer.when() <= deadline:
            return
        self.stop_timer()
        if deadline < math.inf:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._ring, on_time)

    def stop_timer(self) -> None:
        """No time passes any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self, on_time: Callable[["Seat"], None]) -> None:
        self._timer = None
        on_time(self)
