"""`python -m tests.bench.service`: what a server on this machine holds, in one table. See `make bench-service`.

Starts a server, and for each chunk size plays the bundled recordings on more and more streams until their latency is
past the target, then searches the largest number below it. docs/latency.md defines the numbers; the machine should do
nothing else.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from asr.engine_kind import EngineKind
from client.bench.plot import plot
from client.bench.recordings import Loaded, load
from client.bench.references import MANIFEST, recordings
from client.bench.run import LINGER_S, Result, run_streams
from client.bench.search import holds, largest
from client.bench.stream import Target
from tests.soak.playing import SAMPLES
from tests.soak.service import Service

BUSY_S = 0.1  # of processor time in a second: workers that took less have nothing to do
PREPARE_S = 240.0  # that workers may take for the programs that they do not need to be ready
LADDER = (1, 8, 32, 64, 128, 200, 300, 400, 512)


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes:
        chunks_ms: Chunk sizes, in milliseconds.
        ladder: Numbers of streams; after two that are not held, the largest is searched.
        seconds: That each number is measured.
        budget_s: Time for everything but the server's start, in seconds.
        target_ms: For p99 of the chunks' latencies, in milliseconds.
        batch: Streams computed at a time.
    """

    chunks_ms: tuple[int, ...] = (320, 640)
    ladder: tuple[int, ...] = LADDER
    seconds: float = 12.0
    budget_s: float = 350.0
    target_ms: float = 500.0
    batch: int = 32


# Within `make bench`: p99 is held against the chunk's own length.
SHORT = Plan(chunks_ms=(320,), ladder=(1, 64, 128, 200, 256), seconds=8.0, budget_s=110.0, target_ms=320.0)
QUICK = Plan(chunks_ms=(640,), ladder=(1, 8, 32), seconds=4.0, budget_s=50.0, batch=8)


@dataclass(frozen=True)
class Measured:
    """A result, and the CPU time that server and workers took in each second."""

    result: Result
    server_cores: float
    worker_cores: float


async def settled(service: Service, programs: int) -> None:
    """Waits until the workers have compiled so many programs, those that they do not need to be ready too, and rest.

    Raises:
        TimeoutError: if they have not after `PREPARE_S`.
    """
    async with asyncio.timeout(PREPARE_S):
        before = 0.0
        while service.prepared < programs or service.cpu_s()["workers"] - before >= BUSY_S:
            before = service.cpu_s()["workers"]
            await asyncio.sleep(1.0)


def _programs(plan: Plan, engine: EngineKind) -> int:
    """What a worker compiles."""
    from asr.model_folder import bundled_model, read_config
    from asr.streaming.engines import chosen
    from server.worker.process import batch_sizes

    kind = chosen(engine, read_config(bundled_model())[0])
    return len(plan.chunks_ms) * len(batch_sizes(plan.batch, kind))


async def measure(service: Service, plan: Plan, chunk_ms: int, audio: list[Loaded], until: float) -> dict[str, Any]:
    """All numbers of streams at one chunk size.

    Returns:
        `measured`, in the order of streams, and `largest`.
    """
    measured: dict[int, Measured] = {}
    target = Target(f"{service.url.replace('http', 'ws', 1)}/v1/stream", chunk_ms=chunk_ms)
    longest_s = max(one.seconds for one in audio)

    def time_left() -> bool:
        return time.monotonic() + plan.seconds + longest_s < until

    async def run(streams: int) -> Result:
        before, begin = service.cpu_s(), time.monotonic()
        result = await run_streams(target, audio, streams, plan.seconds, complete=True)
        took_s, after = time.monotonic() - begin, service.cpu_s()
        cores = {name: round((after[name] - before[name]) / took_s, 2) for name in after}
        measured[streams] = Measured(result, cores["server"], cores["workers"])
        return result

    known: dict[int, bool] = {}
    for streams in plan.ladder:
        if not time_left():
            break
        known[streams] = holds(await run(streams), plan.target_ms)
        if list(known.values())[-2:] == [False, False]:
            break
    most = max(plan.ladder)
    held = await largest(run, plan.target_ms, known, lambda: time_left() and not known.get(most, False))
    return {"measured": [measured[streams] for streams in sorted(measured)], "largest": held}


def table(found: dict[int, dict[str, Any]], plan: Plan) -> Table:
    """A row for each chunk size and number of streams."""
    columns = ("chunk, ms", "streams", "p50", "p95", "p99", "max", "WER", "compute / audio")
    grid = Table(*columns, "CPU s/s: worker", "server", "client", "errors", title="Chunk latency, ms")
    for chunk_ms, values in found.items():
        for one in values["measured"]:
            grid.add_row(*row(chunk_ms, one))
        grid.add_section()
    held = ", ".join(f"{values['largest']} at {chunk_ms} ms" for chunk_ms, values in found.items())
    grid.caption = f"Largest number of streams with p99 <= {plan.target_ms:g} ms: {held}"
    return grid


def row(chunk_ms: int, one: Measured) -> list[str]:
    """A line of the table."""
    result, chunk = one.result, one.result.chunk
    latencies = ["–"] * 4 if chunk is None else [f"{v:.0f}" for v in (chunk.p50, chunk.p95, chunk.p99, chunk.max)]
    wer = "–" if result.wer is None else f"{100 * result.wer:.1f} %"
    factor = "–" if result.real_time_factor is None else f"{result.real_time_factor:.3f}"
    cores = [f"{value:.2f}" for value in (one.worker_cores, one.server_cores, result.client_cores)]
    errors = ", ".join(f"{count} × {name}" for name, count in sorted(result.errors.items())) or "0"
    return [str(chunk_ms), str(result.streams), *latencies, wer, factor, *cores, errors]


async def bench_service(
    plan: Plan,
    output: Path,
    files: Sequence[Path] = (SAMPLES / MANIFEST,),
    program: str = "server",
    engine: EngineKind = EngineKind.xla,
    workers: int = 1,
    programs: int | None = None,
) -> dict[int, dict[str, Any]]:
    """Measures, and writes `service.json` and a picture for each chunk size.

    Args:
        plan: What is measured.
        output: Folder of the files.
        files: Manifests and audio files that are played.
        program: The module that is the server.
        engine: What computes its steps.
        workers: Its inference workers.
        programs: That its workers compile; None: as many as `asr-server`'s.
    """
    audio = [load(recording) for recording in recordings(files)]
    options = [option for chunk_ms in plan.chunks_ms for option in ("--chunk-ms", str(chunk_ms))]
    room = max(plan.ladder) + round(LINGER_S)  # a session that just ended may still hold its slot
    options += ["--max-streams", str(room), "--batch", str(plan.batch)]
    options += ["--workers", str(workers)]
    options += ["--beam", "1"]  # the figures are of greedy decoding
    options += ["--engine", engine.value]
    found: dict[int, dict[str, Any]] = {}
    begin = time.monotonic()
    async with Service(options, program) as service:
        start_s = time.monotonic() - begin
        await settled(service, workers * _programs(plan, engine) if programs is None else programs)
        started = time.monotonic()
        for number, chunk_ms in enumerate(plan.chunks_ms, 1):
            until = started + plan.budget_s * number / len(plan.chunks_ms)
            found[chunk_ms] = await measure(service, plan, chunk_ms, audio, until)
    output.mkdir(parents=True, exist_ok=True)
    for chunk_ms, values in found.items():
        plot([one.result for one in values["measured"]], plan.target_ms, output / f"service-{chunk_ms}.png")
    settings = {
        **asdict(plan),
        "engine": engine,
        "workers": workers,
        "cpus": os.cpu_count(),
        "server_start_s": round(start_s, 1),
    }
    results = {
        str(chunk_ms): {"largest": values["largest"], "measured": [asdict(one) for one in values["measured"]]}
        for chunk_ms, values in found.items()
    }
    text = json.dumps({"settings": settings, "unit": "ms", "chunks_ms": results}, indent=1)
    (output / "service.json").write_text(text + "\n")
    return found


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.service", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one chunk size, few streams, a minute and a half")
    parser.add_argument("--engine", type=EngineKind, default=EngineKind.xla, help="what computes the steps")
    parser.add_argument("--workers", type=int, default=1, help="inference workers")
    parser.add_argument("--output", type=Path, default=Path("bench"), help="folder of the JSON and the pictures")
    return parser.parse_args(arguments)


def main() -> None:
    """Runs it."""
    options = parse()
    plan = QUICK if options.quick else Plan()
    found = asyncio.run(bench_service(plan, options.output, engine=options.engine, workers=options.workers))
    Console(width=None if os.isatty(1) else 140).print(table(found, plan))


if __name__ == "__main__":
    main()
