"""What `asr-client bench` does around `run_streams`: files, one run for each number of streams, the report."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from client.bench import load, run_streams
from client.bench_report import as_json, table
from client.references import recordings


def parse_streams(text: str) -> list[int]:
    """Numbers of streams from text such as "1,8,32".

    Raises:
        ValueError: if it is no such text.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ValueError(f"streams: expected numbers from 1, such as 1,8,32, got {text!r}")
    return [int(part) for part in parts]


async def bench_command(
    url: str, files: list[Path], streams: Sequence[int], seconds: float, options: dict[str, Any], output: Path | None
) -> bool:
    """Measures and reports.

    Args:
        url: Of the server.
        files: Recordings and manifests.
        streams: Numbers of streams to try.
        seconds: For each, after which no recording is begun.
        options: Of `client.connect`.
        output: Where the results go as JSON; "-" for standard output, instead of the table.

    Returns:
        Whether a stream failed.

    Raises:
        AudioFileError: if a file cannot be used.
    """
    console = Console(stderr=True)
    loaded = [load(recording) for recording in recordings(files)]
    if not loaded:
        raise ValueError("files: expected recordings, got empty manifests")
    results = []
    for count in streams:
        with console.status(f"{count} streams, {seconds:g} s and more …"):
            results.append(await run_streams(url, loaded, count, seconds, options))
    settings = {"chunk_ms": options.get("chunk_ms"), "seconds": seconds, "recordings": len(loaded)}
    if output is None or str(output) != "-":
        Console().print(table(results))
    if output is not None:
        text = as_json(results, settings)
        if str(output) == "-":
            sys.stdout.write(text)
        else:
            output.write_text(text, encoding="utf-8")
    return any(result.errors for result in results)
