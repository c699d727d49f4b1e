"""Keeps one worker running: starts it, watches it, and starts it again when it dies or hangs."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import zmq.asyncio

from server.pool.backoff import Backoff
from server.pool.process import WorkerCommand, WorkerGone, WorkerProcess
from server.pool.progress import Progress
from server.pool.worker_log import relay
from server.worker.messages import FromWorker, Started, ToWorker

FAIR_MESSAGES = 32  # messages handled in a row, before other tasks get their turn
LAST_WORDS_S = 1.0  # seconds for reading what a worker that ended has still written
EXIT_S = 0.5  # seconds for noticing that a worker which takes no messages has ended
CHECKS = 4  # looks at the worker's silence, per time that it may last

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long things may take.

    Attributes:
        start_s: From the process's start to its `Started`, in seconds.
        hang_s: Silence of a worker that owes an answer, in seconds.
        failures: Lives in a row without a `Started`, after which the worker is reported as failing.
        first_backoff_s: First wait before a restart, in seconds; it doubles from there.
    """

    start_s: float = 600.0
    hang_s: float = 20.0
    failures: int = 5
    first_backoff_s: float = 0.1


class Owner(Protocol):
    """Whoever has the workers: told what happens, and must not raise."""

    def worker_started(self, worker: "Supervisor", started: Started) -> None:
        """The worker takes streams now."""

    def worker_lost(self, worker: "Supervisor") -> None:
        """The worker and all its streams' state are gone."""

    def worker_failing(self, worker: "Supervisor", reason: str) -> None:
        """The worker ended several times in a row before it had started."""

    def worker_sent(self, worker: "Supervisor", message: FromWorker) -> None:
        """A message about a stream."""


@dataclass(eq=False)
class Supervisor:
    """One worker through all its lives.

    Attributes:
        number: Which worker, from 0.
        started: What it said when it had loaded; none while it does not take streams.
        restarts: Lives that ended, not counting the one that `run`'s end ended.
        streams: Streams pinned to it.
    """

    number: int
    owner: Owner
    command: WorkerCommand
    patience: Patience
    started: Started | None = None
    restarts: int = 0
    streams: set[int] = field(default_factory=set)
    _process: WorkerProcess | None = None
    _progress: Progress = field(default_factory=Progress)
    _refuses: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def pid(self) -> int | None:
        """Its process, if there is one now."""
        return None if self._process is None else self._process.pid

    @property
    def free(self) -> int:
        """Streams that it could take more."""
        return 0 if self.started is None else self.started.slots - len(self.streams)

    async def run(self, context: zmq.asyncio.Context, folder: Path) -> None:
        """Keep the worker running until cancelled, then end its process in good order.

        Args:
            context: Of its sockets.
            folder: Where they are.
        """
        backoff = Backoff(first_s=self.patience.first_backoff_s)
        failures = 0
        while True:
            born = asyncio.get_running_loop().time()
            reason = await self._live(context, folder / f"worker-{self.number}-{self.restarts}")
            failures = 0 if self.started is not None else failures + 1
            self._lost()
            self.restarts += 1
            lived_s = asyncio.get_running_loop().time() - born
            wait_s = backoff.after(lived_s)
            logger.error("worker %d %s after %.1f s; next start in %.1f s", self.number, reason, lived_s, wait_s)
            if failures >= self.patience.failures:
                self.owner.worker_failing(self, reason)
            await asyncio.sleep(wait_s)

    def send(self, message: ToWorker) -> None:
        """Send to the worker, if there is one; if it takes no more, it is ended, and `worker_lost` follows."""
        if self._process is None or self._refuses.is_set():
            return
        self._progress.sent(message, asyncio.get_running_loop().time())
        try:
            self._process.send(message)
        except WorkerGone:
            self._refuses.set()

    def _lost(self) -> None:
        """Forget the life that ended."""
        was_started, self.started, self._process = self.started is not None, None, None
        if was_started:
            self.owner.worker_lost(self)

    async def _live(self, context: zmq.asyncio.Context, path: Path) -> str:
        """One life, from start to end.

        Returns:
            Why it ended, in words.
        """
        self._progress, self._refuses = Progress(), asyncio.Event()
        try:
            process = self._process = await WorkerProcess.spawn(context, path, self.command)
        except WorkerGone as gone:
            return str(gone)
        logger.info("worker %d started as process %d", self.number, process.pid)
        relaying = asyncio.create_task(relay(process.log, self.number))
        try:
            refusal = functools.partial(self._refusal, process)
            reason = await _first([process.exited, lambda: self._listen(process), self._watch, refusal])
            await process.kill()
            return reason
        except asyncio.CancelledError:
            await process.stop()
            raise
        finally:
            await asyncio.wait([relaying], timeout=LAST_WORDS_S)
            relaying.cancel()

    async def _listen(self, process: WorkerProcess) -> str:
        """Hand on what the worker says."""
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(self.patience.start_s):
                message = await process.receive()
        except TimeoutError:
            return f"did not load within {self.patience.start_s:g} s"
        except WorkerGone as gone:
            return str(gone)
        if not isinstance(message, Started):
            return f"began with {type(message).__name__} instead of Started"
        self._progress.lookahead_ms = message.lookahead_ms
        self.started = message
        how = {0: "by phonemes", 1: "greedily"}.get(message.beam, f"with a beam of {message.beam}")
        by = f"{message.device} by {message.engine}"
        logger.info("worker %d serves %s on %s, %s", self.number, message.model, by, how)
        self.owner.worker_started(self, message)
        while True:
            for _ in range(FAIR_MESSAGES):
                try:
                    message = await process.receive()
                except WorkerGone as gone:
                    return str(gone)
                self._progress.received(message, clock())
                self.owner.worker_sent(self, message)
            await asyncio.sleep(0)

    async def _watch(self) -> str:
        """Wait until the worker is hung."""
        clock = asyncio.get_running_loop().time
        while self._progress.silent_s(clock()) < self.patience.hang_s:
            await asyncio.sleep(self.patience.hang_s / CHECKS)
        return f"gave no answer for {self.patience.hang_s:g} s"

    async def _refusal(self, process: WorkerProcess) -> str:
        """Wait until the worker takes no more messages; the reason is its end, if that is why."""
        await self._refuses.wait()
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(process.exited(), EXIT_S)
        return "stopped reading its messages"


async def _first(waits: list[Callable[[], Awaitable[str]]]) -> str:
    """The result of whichever ends first; the others are cancelled and over when this returns."""
    tasks = [asyncio.ensure_future(wait()) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return next(task.result() for task in tasks if task in done)
