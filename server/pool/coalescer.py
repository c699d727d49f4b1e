"""Tiny pieces of audio made into bigger ones on their way to a worker."""

import asyncio
from collections.abc import Callable

from server.worker.messages import Audio, ToWorker

LEAST_BYTES = 4 * 160  # 10 ms at 16 kHz; what clients send in earnest is longer, and passes at once
HOLD_S = 0.01  # seconds that a shorter piece may wait for the next


class Coalescer:
    """A client that sends single samples would else cost the worker, and so all others, a message for each.

    Args:
        send: Takes the messages; those of one stream in order.
    """

    def __init__(self, send: Callable[[ToWorker], None]) -> None:
        """Holds nothing."""
        self._send = send
        self._held: dict[int, bytes] = {}
        self._timer: asyncio.TimerHandle | None = None

    def send(self, stream: int, message: ToWorker) -> None:
        """Pass a message of a stream on, or hold it for a moment if it is a little audio."""
        held = self._held.pop(stream, b"")
        if isinstance(message, Audio):
            samples = held + message.samples
            if len(samples) < LEAST_BYTES:
                self._hold(stream, samples)
                return
            message = message if not held else Audio(stream=stream, samples=samples)
        elif held:
            self._send(Audio(stream=stream, samples=held))
        self._send(message)

    def forget(self, stream: int) -> None:
        """Drop what is held of a stream, whose worker is gone or which is over."""
        self._held.pop(stream, None)

    def _hold(self, stream: int, samples: bytes) -> None:
        """Wait a moment for more."""
        self._held[stream] = samples
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HOLD_S, self._release)

    def _release(self) -> None:
        """The moment is over."""
        self._timer = None
        held, self._held = self._held, {}
        for stream, samples in held.items():
            self._send(Audio(stream=stream, samples=samples))
