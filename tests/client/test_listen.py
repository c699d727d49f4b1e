import asyncio
import signal
from collections.abc import AsyncIterator

import pytest

from client import connect
from client.errors import InternalError, MicrophoneError
from client.inbox import Event
from client.level import FLOOR_DB
from client.listen import listen, on_interrupt
from client.live_text import LiveText
from server.wire import ErrorCode, Final
from tests.client.fake_server import WORD_SAMPLES, FakeServer, Fault, said, speech


class Source:
    """Blocks, and then the end or an error."""

    def __init__(self, *blocks: bytes, error: Exception | None = None, waits: bool = False) -> None:
        self.blocks, self.error = blocks, error
        self.stopped = asyncio.Event()
        if not waits:
            self.stopped.set()

    def stop(self) -> None:
        self.stopped.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for block in self.blocks:
            yield block
        await self.stopped.wait()
        if self.error is not None:
            raise self.error


@pytest.mark.asyncio
async def test_everything_said_is_final_in_the_end() -> None:
    text, told = LiveText(), list[Event]()
    async with FakeServer() as server, connect(server.url) as session:
        await listen(Source(speech(3, 2_000), speech(3, 2_003)), session, text, told.append)
    assert text.transcript == f"{said(4, 2_000)}\nw2004 w2005"
    assert [e.text for e in told if isinstance(e, Final)] == text.finals
    assert text.level > FLOOR_DB


@pytest.mark.asyncio
async def test_words_are_shown_before_the_end() -> None:
    text = LiveText()
    source = Source(speech(2), waits=True)
    async with asyncio.timeout(20), FakeServer() as server, connect(server.url) as session:

        def told(event: Event) -> None:
            assert text.line().plain == event.text
            if event.text == "w1 w2":
                source.stop()

        await listen(source, session, text, told)
    assert text.transcript == "w1 w2"


@pytest.mark.asyncio
async def test_a_session_that_fails_keeps_what_was_final() -> None:
    text = LiveText()
    fault = Fault(error_at=5 * WORD_SAMPLES, error=ErrorCode.INTERNAL)
    async with FakeServer((fault,)) as server, connect(server.url) as session:
        with pytest.raises(InternalError):
            await listen(Source(speech(5), waits=True), session, text)
    assert text.transcript == said(4)


@pytest.mark.asyncio
async def test_what_was_said_before_the_microphone_failed_is_final() -> None:
    text = LiveText()
    async with FakeServer() as server, connect(server.url) as session:
        with pytest.raises(MicrophoneError, match="unplugged"):
            await listen(Source(speech(1), error=MicrophoneError("unplugged")), session, text)
    assert text.transcript == "w1"


@pytest.mark.asyncio
async def test_the_first_interrupt_stops_and_the_second_cancels() -> None:
    pressed = asyncio.Event()
    before = signal.getsignal(signal.SIGINT)
    with on_interrupt(pressed.set):
        signal.raise_signal(signal.SIGINT)
        await asyncio.wait_for(pressed.wait(), 10)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.Event().wait(), 10)
    assert signal.getsignal(signal.SIGINT) is before
