"""What `asr-client bench` does around `run_streams`: files, one run for each number of streams, the report."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from client.bench.plot import plot
from client.bench.recordings import load
from client.bench.references import recordings
from client.bench.report import Largest, as_json, table
from client.bench.run import Result, run_streams
from client.bench.search import holds, largest
from client.bench.stream import Target


@dataclass(frozen=True)
class BenchOptions:
    """What to measure and where to write it.

    Attributes:
        streams: Numbers of streams to try.
        seconds: That each of them is measured.
        target_ms: For the 99th percentile of the chunks' latencies: the largest number of streams below it is
            searched; None: it is not.
        json: Where the results go as JSON; "-" for standard output, instead of the table; None: nowhere.
        plot: Where the plots go; None: nowhere.
    """

    streams: Sequence[int]
    seconds: float
    target_ms: float | None = None
    json: Path | None = None
    plot: Path | None = None


def parse_streams(text: str) -> list[int]:
    """Numbers of streams from text such as "1,8,32".

    Raises:
        ValueError: if it is no such text.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"streams: expected numbers from 1, such as 1,8,32, got {text!r}")
    return [int(part) for part in parts]


async def bench_command(target: Target, files: Sequence[Path], options: BenchOptions) -> bool:
    """Measures and reports.

    Args:
        target: The server.
        files: Recordings and manifests.
        options: What to measure.

    Returns:
        Whether a stream failed, other than in the search.

    Raises:
        AudioFileError: if a file cannot be used.
        ValueError: if there is nothing to play.
    """
    console = Console(stderr=True)
    loaded = [load(recording) for recording in recordings(files)]
    if not loaded:
        raise ValueError("files: expected recordings, got empty manifests")
    results: dict[int, Result] = {}

    async def run(count: int) -> Result:
        with console.status(f"{count} streams, {options.seconds:g} s and more …"):
            results[count] = await run_streams(target, loaded, count, options.seconds)
        return results[count]

    for count in options.streams:
        await run(count)
    failed = any(result.errors for result in results.values())
    found = None
    if options.target_ms is not None:
        known = {count: holds(result, options.target_ms) for count, result in results.items()}
        found = Largest(await largest(run, options.target_ms, known), options.target_ms)
    settings: dict[str, object] = {
        "pace": target.pacing.value,
        "seconds": options.seconds,
        "recordings": len(loaded),
        "cpus": os.cpu_count(),
    }
    write([results[count] for count in sorted(results)], settings, found, options)
    return failed


def write(results: Sequence[Result], settings: dict[str, object], found: Largest | None, options: BenchOptions) -> None:
    """Writes the results wherever they are wanted."""
    if options.json is None or str(options.json) != "-":
        Console().print(table(results, found))
    if options.json is not None:
        text = as_json(results, settings, found)
        if str(options.json) == "-":
            sys.stdout.write(text)
        else:
            options.json.write_text(text, encoding="utf-8")
    if options.plot is not None:
        plot(results, options.target_ms, options.plot)
