"""`asr-client listen`: from the microphone to the screen."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Protocol

from client.api import LiveSession
from client.errors import MicrophoneError
from client.inbox import Event
from client.level import level_db
from client.live_text import LiveText


class BlockSource(Protocol):
    """Where audio comes from."""

    def stop(self) -> None:
        """No more audio: iteration ends."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Blocks of 16-bit samples."""


async def listen(
    source: BlockSource,
    session: LiveSession,
    text: LiveText,
    told: Callable[[Event], None] = lambda event: None,
) -> None:
    """Sends audio and shows words until the source ends, then makes everything final.

    Args:
        source: Of audio.
        session: Open.
        text: Takes events and levels.
        told: Called with each event after `text` has it.

    Raises:
        EarshotError: if the source or the session fails; after a failing source everything said is final.
    """

    async def read() -> None:
        async for event in session:
            text.take(event)
            told(event)

    async def speak() -> None:
        try:
            async for block in source:
                text.level = level_db(block)
                await session.send(block)
        except MicrophoneError:
            await session.stop()  # what was said until then is final all the same
            raise
        await session.stop()

    reading, speaking = asyncio.create_task(read()), asyncio.create_task(speak())
    try:
        await asyncio.gather(speaking, reading)
    except Exception:
        await asyncio.wait([reading], timeout=1)  # the events that came before the error
        raise
    finally:
        for task in (reading, speaking):
            task.cancel()
        await asyncio.gather(reading, speaking, return_exceptions=True)


@contextlib.contextmanager
def on_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C calls `stop`, the second cancels the current task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    pressed = 0

    def handle() -> None:
        nonlocal pressed
        pressed += 1
        if pressed == 1:
            stop()
        else:
            task.cancel()

    before = signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(handle))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
