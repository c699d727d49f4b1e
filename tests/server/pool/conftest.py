"""A pool with its calls recorded, and a way to wait for them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio

from server.pool import Patience, Pool
from server.worker.messages import Audio, FromWorker, Open, Recognised, Segment

WAIT_S = 20.0  # for what takes a fraction of a second on a machine that does nothing else


class Recorded:
    """A pool and what it called."""

    def __init__(self, command: Callable[[str], list[str]], workers: int, patience: Patience) -> None:
        self.messages: list[FromWorker] = []
        self.lost: list[Sequence[int]] = []
        self.ready: list[Sequence[int]] = []
        self.failing: list[str] = []
        self._changed = asyncio.Event()
        self.pool = Pool(
            command,
            workers,
            patience,
            on_message=self._record(self.messages),
            on_lost=self._record(self.lost),
            on_ready=self._record(self.ready),
            on_failing=self._record(self.failing),
        )

    def _record(self, calls: list[Any]) -> Callable[[Any], None]:
        def record(what: Any) -> None:
            calls.append(what)
            self._changed.set()

        return record

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for the condition, looked at after every call and otherwise now and then."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                waiting = asyncio.ensure_future(self._changed.wait())
                await asyncio.wait([waiting], timeout=0.02)
                waiting.cancel()

    async def warm(self) -> None:
        """Wait until every worker has loaded."""
        await self.until(lambda: self.pool.ready)

    def open(self, stream: int, position: int = 0, segment: int = 0) -> int:
        """Open a stream, at the pool and at its worker."""
        worker = self.pool.open(stream)
        self.reopen(stream, position, segment)
        return worker

    def reopen(self, stream: int, position: int = 0, segment: int = 0) -> None:
        """Open it at its worker."""
        message = Open(stream=stream, chunk_ms=320, silence_ms=600, position=position, segment=segment)
        self.pool.send(message)

    def speak(self, stream: int, chunks: int) -> None:
        """Send whole chunks of silence."""
        for _ in range(chunks):
            self.pool.send(Audio(stream=stream, samples=bytes(4 * 5120)))

    def finals(self, stream: int) -> list[str]:
        """Texts of the finals so far."""
        return [
            event.text
            for message in self.messages
            if isinstance(message, Recognised) and message.stream == stream
            for event in message.events
            if isinstance(event, Segment)
        ]


@pytest_asyncio.fixture
async def start_pool(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """Starts pools and stops them afterwards."""
    monkeypatch.setattr("server.pool.process.KILL_S", 1.0)  # some of them do not obey
    pools: list[Pool] = []

    async def start(
        command: Callable[[str], list[str]], workers: int = 1, patience: Patience | None = None
    ) -> Recorded:
        patience = patience or Patience(start_s=WAIT_S, hang_s=WAIT_S, first_backoff_s=0.01)
        recorded = Recorded(command, workers, patience)
        pools.append(recorded.pool)
        await recorded.pool.start()
        return recorded

    yield start
    for pool in pools:
        await pool.stop()
