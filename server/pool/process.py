"""One life of an inference worker: its process and the socket to it."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec
import zmq
import zmq.asyncio

from server.worker import messages
from server.worker.messages import FromWorker, Shutdown, ToWorker

HIGH_WATER = 100_000
"""Messages that may wait in either direction: a worker that lets this many wait does not read any more."""
KILL_S = 5.0  # seconds that the process gets to obey, before SIGKILL

logger = logging.getLogger(__name__)

WorkerCommand = Callable[[str], list[str]]
"""From the address to connect to, the command line of a worker."""


class WorkerGone(Exception):
    """The worker's life is over; the text says why, for the log."""


class WorkerProcess:
    """A process and a socket of its own, so that nothing of an earlier life can arrive in a later one.

    Both ends are DEALER sockets: one peer each, no identities, and neither waits for an answer before it sends.
    """

    def __init__(self, process: asyncio.subprocess.Process, socket: zmq.asyncio.Socket, path: Path) -> None:
        self._process = process
        self._socket = socket
        self._path = path

    @classmethod
    async def spawn(cls, context: zmq.asyncio.Context, path: Path, command: WorkerCommand) -> "WorkerProcess":
        """Start a worker that connects to a new socket at `path`.

        Raises:
            WorkerGone: the operating system does not let us.
        """
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDHWM, HIGH_WATER)
        socket.setsockopt(zmq.RCVHWM, HIGH_WATER)
        try:
            socket.bind(f"ipc://{path}")
            # A process group of its own: Ctrl-C in the terminal is for the server, which drains and needs its workers.
            # Standard input is a pipe that ends with the server, however that dies.
            process = await asyncio.create_subprocess_exec(
                *command(f"ipc://{path}"),
                stdin=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException as error:  # also when cancelled, or the context could not end
            socket.close()
            if isinstance(error, OSError | zmq.ZMQError):
                raise WorkerGone(f"cannot be started: {error}") from error
            raise
        return cls(process, socket, path)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def log(self) -> asyncio.StreamReader:
        """What the process writes to standard error."""
        assert self._process.stderr is not None
        return self._process.stderr

    def send(self, message: ToWorker) -> None:
        """Send without waiting.

        Raises:
            WorkerGone: the worker has not been reading for a long time.
        """
        try:
            # With NOBLOCK the future is done when it is returned.
            cast("asyncio.Future[None]", self._socket.send(messages.encode(message), zmq.NOBLOCK)).result()
        except zmq.ZMQError as error:
            raise WorkerGone(f"does not take messages: {error}") from error

    async def receive(self) -> FromWorker:
        """The worker's next message.

        Raises:
            WorkerGone: it sent something else.
        """
        data = await self._socket.recv()
        try:
            return messages.decode_from_worker(data)
        except msgspec.DecodeError as error:
            raise WorkerGone(f"sent something that is no message: {error}") from error

    async def exited(self) -> str:
        """Wait for the process to end.

        Returns:
            How it ended, in words.
        """
        code = await self._process.wait()
        if code >= 0:
            return f"exited with status {code}"
        return f"was killed by {signal.Signals(-code).name}"

    async def stop(self) -> None:
        """Ask the process to end; kill it if it does not."""
        with contextlib.suppress(WorkerGone):
            self.send(Shutdown())
        try:
            await asyncio.wait_for(self._process.wait(), KILL_S)
        except TimeoutError:
            logger.warning("worker process %d does not end, killing it", self.pid)
        await self.kill()

    async def kill(self) -> None:
        """End the process now, wait for it and close the socket; harmless if it is over."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._socket.close()
        self._path.unlink(missing_ok=True)
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


def inference_worker(options: list[str]) -> WorkerCommand:
    """The command of the real worker.

    Args:
        options: What it takes besides the address.
    """
    return lambda address: [sys.executable, "-m", "server.worker", "--connect", address, *options]
