"""The workers together: which stream is where."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import zmq.asyncio

from server.pool.coalescer import Coalescer
from server.pool.process import WorkerCommand
from server.pool.supervisor import Patience, Supervisor
from server.worker.messages import FromWorker, Shutdown, Started, ToWorker


class PoolFull(Exception):
    """No worker that is running has a slot free."""


class Pool:
    """Starts the workers, pins every stream to one, and says when a stream's worker is lost and when it has another.

    A stream whose worker is lost goes to a worker with a free slot at once, or waits for the first one that has.
    The pool keeps no audio: whoever sends to a stream opens it again when it is ready.

    The three callbacks are called from the event loop, one at a time, and must not raise.

    Attributes:
        workers: The workers, by number.
    """

    def __init__(
        self,
        command: WorkerCommand,
        workers: int,
        patience: Patience,
        *,
        on_message: Callable[[FromWorker], None],
        on_lost: Callable[[Sequence[int]], None],
        on_ready: Callable[[Sequence[int]], None],
        on_failing: Callable[[str], None] = lambda reason: None,
    ) -> None:
        """Prepare; nothing runs before `start`.

        Args:
            command: Command line of a worker, from the address that it shall connect to.
            workers: How many.
            patience: How long things may take.
            on_message: Takes what a worker says about a stream.
            on_lost: Takes the streams whose worker is gone; what is sent to them until they are ready is dropped.
            on_ready: Takes the streams, of those that were lost, that have a worker again.
            on_failing: Takes the reason when no worker runs and one of them fails to start again and again.
        """
        self.workers = [Supervisor(number, self, command, patience) for number in range(workers)]
        self._pins: dict[int, Supervisor | None] = {}
        self._coalescer = Coalescer(self._pass_on)
        self._on_message, self._on_lost, self._on_ready, self._on_failing = on_message, on_lost, on_ready, on_failing
        self._about: Started | None = None
        self._context: zmq.asyncio.Context | None = None
        self._folder: Path | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> bool:
        """Whether every worker takes streams."""
        return all(worker.started is not None for worker in self.workers)

    @property
    def about(self) -> Started | None:
        """What the workers serve, as the last one that started said; none before the first has."""
        return self._about

    @property
    def phrase_lists(self) -> int:
        """Different lists of phrases that a worker can hold; none before the first has started."""
        return 0 if self._about is None else self._about.phrase_lists

    @property
    def streams(self) -> int:
        """Streams that are open, those that wait for a worker included."""
        return len(self._pins)

    @property
    def restarts(self) -> int:
        """Lives of workers that ended, all of them together."""
        return sum(worker.restarts for worker in self.workers)

    async def start(self) -> None:
        """Start the workers; returns before they have loaded."""
        self._context = context = zmq.asyncio.Context()
        self._folder = folder = Path(tempfile.mkdtemp(prefix="earshot-"))  # mode 0700: for this user alone
        self._tasks = [asyncio.create_task(worker.run(context, folder)) for worker in self.workers]

    async def stop(self) -> None:
        """End the workers, in good order if they let us, and remove the sockets; harmless when called again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._context is not None and self._folder is not None:
            self._context.term()
            shutil.rmtree(self._folder, ignore_errors=True)

    def open(self, stream: int) -> int:
        """Pin a stream to the running worker that has the most slots free.

        Args:
            stream: A number not used before.

        Returns:
            The worker's number.

        Raises:
            PoolFull: there is no slot free.
        """
        worker = self._freest()
        if worker is None:
            raise PoolFull(f"expected a free slot, got {len(self._pins)} streams on {len(self.workers)} workers")
        self._pin(stream, worker)
        return worker.number

    def send(self, message: ToWorker) -> None:
        """Send to the worker of the message's stream; dropped while the stream has none.

        Raises:
            ValueError: a message that is for no stream.
        """
        if isinstance(message, Shutdown):
            raise ValueError("expected a message about a stream, got Shutdown")
        if self._pins.get(message.stream) is not None:
            self._coalescer.send(message.stream, message)

    def close(self, stream: int) -> None:
        """Free the slot of a stream that the worker has finished or was told to drop; harmless if it is free."""
        worker = self._pins.pop(stream, None)
        self._coalescer.forget(stream)
        if worker is not None:
            worker.streams.discard(stream)

    def worker_started(self, worker: Supervisor, started: Started) -> None:
        """A worker takes streams: those that waited come first."""
        self._about = started
        self._place([stream for stream, pinned in self._pins.items() if pinned is None])

    def worker_lost(self, worker: Supervisor) -> None:
        """A worker's streams move to others that have slots free; the rest waits."""
        streams = sorted(worker.streams)
        worker.streams.clear()
        self._pins.update(dict.fromkeys(streams))
        for stream in streams:
            self._coalescer.forget(stream)
        self._on_lost(streams)
        self._place([stream for stream in streams if stream in self._pins])

    def worker_failing(self, worker: Supervisor, reason: str) -> None:
        """One worker that fails is a pity, all of them are the end."""
        if all(other.started is None for other in self.workers):
            self._on_failing(f"worker {worker.number} {reason}")

    def worker_sent(self, worker: Supervisor, message: FromWorker) -> None:
        """Hand on what is about a stream that is open here."""
        if isinstance(message, Started) or self._pins.get(message.stream) is not worker:
            return
        self._on_message(message)

    def _pass_on(self, message: ToWorker) -> None:
        """Send to the worker of the message's stream."""
        worker = None if isinstance(message, Shutdown) else self._pins.get(message.stream)
        if worker is not None:
            worker.send(message)

    def _place(self, streams: list[int]) -> None:
        """Pin waiting streams to workers with slots free, as many as there are."""
        placed = []
        for stream in streams:
            worker = self._freest()
            if worker is None:
                break
            self._pin(stream, worker)
            placed.append(stream)
        if placed:
            self._on_ready(placed)

    def _freest(self) -> Supervisor | None:
        """The running worker with the most slots free, if there is one with any."""
        worker = max(self.workers, key=lambda worker: worker.free)
        return worker if worker.free > 0 else None

    def _pin(self, stream: int, worker: Supervisor) -> None:
        """Give a stream its worker."""
        self._pins[stream] = worker
        worker.streams.add(stream)
