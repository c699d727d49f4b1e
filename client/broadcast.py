"""Waiting for a change of state."""

import asyncio
from collections.abc import Callable


class Broadcast:
    """Wakes everybody who waits, each of whom looks whether it is what they waited for."""

    def __init__(self) -> None:
        """Starts with nobody waiting."""
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Something changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns when the condition holds, at once if it does already."""
        while not condition():
            await self._changed.wait()
