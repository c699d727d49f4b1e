"""A server in a process of its own, as users run it, and what the operating system knows of it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import httpx

ROOT = Path(__file__).parents[2]
START_S = 900.0  # that loading and compiling may take
PREPARED = b"prepared the step of"  # what a worker's log says of each program
LOOK_S = 0.05  # between looks at whether it is ready
MIB_KIB = 1024
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Service:
    """Runs while its block does.

    Args:
        options: Of `asr-server`.
        program: The module that is run: `asr-server`'s, or one that takes its options.

    Attributes:
        url: Where it listens.
        prepared: Programs that its workers have compiled since it listened.
    """

    def __init__(self, options: Sequence[str], program: str = "server") -> None:
        self._command = [sys.executable, "-m", program, "--port", "0", "--log-format", "json", *options]
        self._process: asyncio.subprocess.Process | None = None
        self._log: asyncio.Task[None] | None = None
        self.url, self.prepared = "", 0

    async def __aenter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EARSHOT")}
        environment["PYTHONPATH"] = str(ROOT)
        self._process = await asyncio.create_subprocess_exec(
            *self._command, cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(START_S):
                self.url = await self._listening()
                self._log = asyncio.create_task(self._read_log())
                await self.ready()
        except BaseException:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.communicate()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()
        if self._log is not None:
            await self._log

    @property
    def pid(self) -> int:
        """The server's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        """The workers' processes."""
        parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdecimal()}
        return sorted(pid for pid, parent in parents.items() if parent == self.pid)

    def memory_mib(self) -> dict[str, float]:
        """Resident memory of the server and of all its workers."""
        return {"server": rss_mib(self.pid), "workers": round(sum(map(rss_mib, self.workers)), 1)}

    def cpu_s(self) -> dict[str, float]:
        """CPU time that the server and its workers have taken."""
        return {"server": _cpu_s(self.pid), "workers": sum(map(_cpu_s, self.workers))}

    def kill_worker(self) -> None:
        """Ends a worker without a word."""
        os.kill(self.workers[0], signal.SIGKILL)

    async def ready(self, was: bool = True) -> None:
        """Waits until it takes sessions; with `was` false, until it does not."""
        async with httpx.AsyncClient(trust_env=False) as client:
            while (await client.get(f"{self.url}/readyz", timeout=60)).is_success is not was:
                await asyncio.sleep(LOOK_S)

    async def _listening(self) -> str:
        """Reads the log up to the line that says where it listens."""
        assert self._process is not None
        assert self._process.stderr is not None
        lines: list[str] = []
        while line := (await self._process.stderr.readline()).decode():
            lines.append(line)
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if value.get("message") == "listening":
                return str(value["url"])
        raise RuntimeError("expected a server that listens, got:\n" + "".join(lines))

    async def _read_log(self) -> None:
        """Keeps the pipe empty, and counts programs; what is worth a look is shown."""
        assert self._process is not None
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self.prepared += PREPARED in line
            if b'"level": "error"' in line or b'"level": "critical"' in line:
                sys.stderr.buffer.write(line)


def _parent(process: Path) -> int:
    """A process's parent; 0 if it is gone."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def rss_mib(pid: int) -> float:
    """Resident memory in MiB; 0 if the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return round(next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0) / MIB_KIB, 1)


def _cpu_s(pid: int) -> float:
    """User and system time of a process, in seconds; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S
