"""A server of one's own, for as long as a block runs."""

import asyncio
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Self

from client.errors import EarshotError

START_S = 300.0  # loading and compiling on a slow machine
LOOK_S = 0.2  # between looks at whether it is ready
STOP_S = 10.0
CACHE = "EARSHOT_CACHE"  # where the worker keeps its compiled programs
LAST_LINES = 20  # of its log, shown if it fails


class LocalServerError(EarshotError):
    """The server could not be started."""


class LocalServer:
    """Starts `asr-server` on a free port of this machine and stops it at the end of the block.

    Args:
        options: Of `asr-server`.
        program: Module to run.
        start_s: Time to become ready in, seconds.

    Attributes:
        url: Where it listens, inside the block.
    """

    def __init__(self, options: Sequence[str] = (), program: str = "server", start_s: float = START_S) -> None:
        """Starts nothing yet."""
        own = ["--host", "127.0.0.1", "--port", "0", "--log-format", "json"]
        self._command = [sys.executable, "-m", program, *own, *options]
        self._start_s = start_s
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._lines: list[str] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        """Starts it and waits until it is ready.

        Raises:
            LocalServerError: if it ends or takes longer than `start_s`, with the end of its log.
        """
        # What the user set for a server of theirs is not meant for this one; where programs are kept is.
        environment = {
            name: value for name, value in os.environ.items() if name == CACHE or not name.startswith("EARSHOT_")
        }
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=environment, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        self._reading = asyncio.create_task(self._read_log())
        try:
            async with asyncio.timeout(self._start_s):
                while not await self._ready():
                    if self._process.returncode is not None:
                        await self._reading
                        raise LocalServerError(f"the server ended with {self._process.returncode}: {self._log_end()}")
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            await self._stop()
            message = f"the server was not ready within {self._start_s:.0f} s: {self._log_end()}"
            raise LocalServerError(message) from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops it: open sessions end."""
        await self._stop()

    async def _stop(self) -> None:
        assert self._process is not None and self._reading is not None
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading

    async def _read_log(self) -> None:
        """Keeps the pipe empty, remembers the end, and finds the address."""
        assert self._process is not None and self._process.stderr is not None
        while raw := await self._process.stderr.readline():
            line = raw.decode(errors="replace").rstrip()
            if not line:
                continue
            self._lines = [*self._lines[1 - LAST_LINES :], line]
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and record.get("message") == "listening":
                self.url = str(record["url"])

    async def _ready(self) -> bool:
        return bool(self.url) and await asyncio.to_thread(_succeeds, f"{self.url}/readyz")

    def _log_end(self) -> str:
        return "\n".join(["its log ends with", *self._lines]) if self._lines else "it wrote nothing"


def _succeeds(url: str) -> bool:
    """Whether a GET is answered with 200."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this machine needs no proxy
    try:
        with direct.open(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
