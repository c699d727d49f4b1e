"""Sending no faster than the audio was spoken."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """A clock of audio time that runs with the real one.

    Args:
        sleep: Waits, in seconds.
        clock: The time in seconds.
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Starts now."""
        self._sleep, self._clock = sleep, clock
        self._start = clock()

    async def until(self, seconds: float) -> None:
        """Returns when so much audio has been spoken; at once if it is late."""
        await self._sleep(max(0.0, self._start + seconds - self._clock()))
