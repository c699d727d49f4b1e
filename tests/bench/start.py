"""`make bench-start`: how long until something is there, first with nothing kept, then with compiled programs kept.

Definitions. Every time is on the clock of this process, from before a process is started: "ready" until `/readyz`
answers 200, "transcribe" until the process has ended, "restart" from SIGKILL of the only worker until `/readyz` answers
200 again, "import client" of a whole Python process less one that imports nothing. Each round has a cache of its own:
its first start is cold, the one after finds the programs. A cold server's smaller programs are still being compiled
when it is ready; the server is left to finish them before it is stopped. CPU is user and system time of the process.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data" / "samples" / "manifest.jsonl"
TARGETS_S = {"ready": (15.0, 6.0), "restart": (None, 6.0), "transcribe": (None, 4.0), "import client": (None, 0.3)}
LOOK_S = 0.02  # between looks at `/readyz`
WAIT_S = 600.0  # for anything
WORKER = re.compile(r"worker 0 started as process (\d+)")
PREPARED = "prepared the step of"


@dataclass
class Times:
    """Seconds by what was timed and whether compiled programs were kept."""

    wall: dict[tuple[str, bool], list[float]] = field(default_factory=dict)
    cpu: dict[tuple[str, bool], list[float]] = field(default_factory=dict)

    def add(self, what: str, kept: bool, wall_s: float, cpu_s: float | None = None) -> None:
        """Adds a time."""
        self.wall.setdefault((what, kept), []).append(wall_s)
        if cpu_s is not None:
            self.cpu.setdefault((what, kept), []).append(cpu_s)


def run_process(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds that a process took, on the clock and of the processor.

    Raises:
        RuntimeError: it failed.
    """
    started = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
    pid = os.posix_spawn(command[0], command, environment, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)}: expected success, got status {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


class TimedServer:
    """`asr-server` with one worker, and what its log says of it."""

    def __init__(self, environment: dict[str, str], options: Sequence[str]) -> None:
        command = ["-m", "server", "--host", "127.0.0.1", "--port", "0", "--log-format", "json", *options]
        self._command, self._environment = [sys.executable, *command], environment
        self.url, self.workers, self.prepared = "", list[int](), 0

    async def __aenter__(self) -> "TimedServer":
        self.started = time.perf_counter()
        self._process = await asyncio.create_subprocess_exec(
            *self._command, env=self._environment, cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        await self._process.wait()
        await self._reading

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> float:
        """Seconds on the clock when the condition holds.

        Raises:
            RuntimeError: the server ended.
        """
        async with asyncio.timeout(WAIT_S):
            while not await condition():
                if self._process.returncode is not None:
                    raise RuntimeError(f"the server ended with {self._process.returncode}")
                await asyncio.sleep(LOOK_S)
        return time.perf_counter()

    async def ready(self) -> bool:
        """Whether it takes streams."""
        return bool(self.url) and await asyncio.to_thread(_succeeds, f"{self.url}/readyz")

    async def lost(self) -> bool:
        """Whether it takes none."""
        return not await self.ready()

    async def _read(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            try:
                record = json.loads(line)
            except ValueError:
                continue
            message = str(record.get("message", ""))
            if message == "listening":
                self.url = record["url"]
            if found := WORKER.search(message):
                self.workers.append(int(found[1]))
            self.prepared += PREPARED in message


def _succeeds(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _batch_sizes(largest: int) -> list[int]:
    """What a server of the bundled model compiles, with the engine that it chooses."""
    from asr.engine_kind import EngineKind
    from asr.model_folder import bundled_model, read_config
    from asr.streaming.engines import chosen
    from server.worker.process import batch_sizes

    return batch_sizes(largest, chosen(EngineKind.auto, read_config(bundled_model())[0]))


async def time_server(times: Times, kept: bool, environment: dict[str, str], programs: int) -> None:
    """One start, and with kept programs a restart of the worker too."""
    batch = 2 ** (programs - 1)
    expected = 2 * len(_batch_sizes(batch))  # two chunk sizes

    async def complete() -> bool:
        return server.prepared >= expected * len(server.workers)

    async with TimedServer(environment, ["--batch", str(batch)]) as server:
        times.add("ready", kept, await server.until(server.ready) - server.started)
        await server.until(complete)
        if kept:
            killed = time.perf_counter()
            os.kill(server.workers[0], signal.SIGKILL)
            await server.until(server.lost)
            times.add("restart", kept, await server.until(server.ready) - killed)


def measure(rounds: int, programs: int) -> Times:
    """All times, round by round.

    Args:
        rounds: Caches that are made and used.
        programs: The server's largest batch: 1 for 1, 2 for 2, 3 for 4 and so on.
    """
    times = Times()
    first = json.loads(SAMPLES.read_text(encoding="utf-8").splitlines()[0])
    recording = str(SAMPLES.parent / first["audio"])
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            # Of what one leaves there, the other would have some: the search's compiled code.
            alone, served = (_environment(Path(folder, name)) for name in ("transcribe", "server"))
            nothing, _ = run_process([sys.executable, "-c", "pass"], alone)
            imported, cpu_s = run_process([sys.executable, "-c", "import client"], alone)
            times.add("import client", True, max(0.0, imported - nothing), cpu_s)
            for kept in (False, True):
                command = [sys.executable, "-m", "asr.cli", "transcribe", recording]
                times.add("transcribe", kept, *run_process(command, alone))
                asyncio.run(time_server(times, kept, served, programs))
    return times


def _environment(cache: Path) -> dict[str, str]:
    """This process's, but for its settings and for the cache of programs that it may have switched on."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("EARSHOT_")}
    ours.pop("TF_XLA_FLAGS", None)
    return ours | {"EARSHOT_CACHE": str(cache), "PYTHONPATH": str(ROOT)}


def show(times: Times) -> Table:
    """Medians, and the targets."""
    table = Table("", "nothing kept, s", "target", "programs kept, s", "target", "ratio", "CPU, s")
    for what, targets in TARGETS_S.items():
        cells: list[str] = [what]
        medians = [statistics.median(times.wall.get((what, kept), [0.0])) for kept in (False, True)]
        for median, target in zip(medians, targets, strict=True):
            cells += [f"{median:.2f}" if median else "", f"≤ {target:g}" if target else ""]
        cpu = [f"{statistics.median(times.cpu[what, kept]):.1f}" for kept in (False, True) if (what, kept) in times.cpu]
        cells += [f"{medians[0] / medians[1]:.1f}" if all(medians) else "", " → ".join(cpu)]
        table.add_row(*cells)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one table; with --json, writes every time."""
    parser = argparse.ArgumentParser(description="Time starts, cold and with compiled programs kept.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", type=int, default=6, help="the server's largest batch: 6 for 32")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    times = measure(options.rounds, options.programs)
    Console().print(show(times))
    if options.json:
        rows = [
            {"what": what, "kept": kept, "wall_s": wall, "cpu_s": times.cpu.get((what, kept), [])}
            for (what, kept), wall in times.wall.items()
        ]
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
