"""`make bench`: everything that is measured, in one table; JSON, pictures and a line of history. See README.md here."""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from asr.engine_kind import EngineKind

if TYPE_CHECKING:
    from tests.bench.report import Results

PARTS = ("steps", "jax", "memory", "length", "peer", "start", "service")
ROOT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures part by part; what one part needs is imported by it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--output", type=Path, default=Path("out"))
    parser.add_argument("--engine", type=EngineKind, default=EngineKind.auto, help="of length, peer and service")
    parser.add_argument("--seconds", type=float, default=8.0, help="for the steps of each batch size")
    parser.add_argument("--history", type=Path, help="file to add the run to")
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from asr.program_cache import ProgramCache

    cache = ProgramCache.enable()
    from asr.model_folder import bundled_model, read_config
    from asr.streaming.engines import chosen
    from tests.bench import history, machine, report

    options.engine = chosen(options.engine, read_config(bundled_model())[0])
    results = report.Results(machine=machine.about())
    measure: dict[str, Callable[[Results, argparse.Namespace], None]] = {
        "steps": _steps,
        "jax": _jax,
        "memory": _memory,
        "length": _length,
        "peer": _peer,
        "start": _start,
        "service": _service,
    }
    for part in options.only:
        started = time.monotonic()
        measure[part](results, options)
        print(f"{part}: {time.monotonic() - started:.0f} s", file=sys.stderr)
        if cache:
            cache.seal()
    Console(width=None if os.isatty(1) else 170).print(report.table(results))
    report.write(results, options.output)
    if options.history:
        machine_name = f"{results.machine['processor']}, {results.machine['cpus']} CPUs"
        now = datetime.now(UTC).isoformat(timespec="seconds")
        history.append(options.history, history.Run(history.commit(), now, machine_name, results.numbers()))


def _steps(results: "Results", options: argparse.Namespace) -> None:
    from asr.model_folder import bundled_model, load_model
    from asr.streaming.engine import Engine
    from tests.bench import machine, operations, steps

    results.rates = machine.product_rates()
    model, _ = load_model(bundled_model())
    for rows in (1, 8, 32):
        names = [name for name in (*steps.ENGINES, *steps.SEARCHES) if name != "eager" or rows <= steps.EAGER_ROWS]
        found = steps.time_engines(bundled_model(), model, names, 320, rows, options.seconds)
        results.steps += found
        results.operations[rows] = operations.step_operations(Engine(model, 320, rows), found[0].rounds)


def _jax(results: "Results", options: argparse.Namespace) -> None:
    from tests.bench.steps import StepTimes

    command = [sys.executable, "-m", "tests.bench.steps", "--seconds", str(options.seconds / 4)]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    results.steps += [StepTimes(**one) for one in json.loads(done.stdout.splitlines()[-1])]


def _memory(results: "Results", options: argparse.Namespace) -> None:
    from asr.model_folder import bundled_model, load_model
    from tests.bench.memory import idle_stream_mib

    model, _ = load_model(bundled_model())
    for kind in (EngineKind.xla, EngineKind.litert):
        results.idle_mib[kind] = idle_stream_mib(model, kind)


def _length(results: "Results", options: argparse.Namespace) -> None:
    from asr.streaming.recognizer import Recognizer
    from tests.bench.length import linearity

    results.linear = linearity(Recognizer(chunk_ms=640, engine=options.engine, beam=1), 120.0, 1200.0)


def _peer(results: "Results", options: argparse.Namespace) -> None:
    from tests.bench.peer import compare

    results.peers = compare(engine=options.engine)


def _start(results: "Results", options: argparse.Namespace) -> None:
    import statistics

    from tests.bench.start import measure

    for (what, kept), seconds in measure(1, 2).wall.items():
        results.start_s[f"{what}, {'programs kept' if kept else 'nothing kept'}"] = round(statistics.median(seconds), 2)


def _service(results: "Results", options: argparse.Namespace) -> None:
    from tests.bench.service import SHORT, bench_service

    found = asyncio.run(bench_service(SHORT, options.output, engine=options.engine))[320]
    for one in found["measured"]:
        if one.result.chunk is not None:
            results.streams[one.result.streams] = round(one.result.chunk.p99, 1)
    results.held = found["largest"]


if __name__ == "__main__":
    main()
