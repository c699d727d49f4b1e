"""The benchmark's results as a table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from client.bench.latency import MEASURES, Summary
from client.bench.run import Result


@dataclass(frozen=True)
class Largest:
    """The outcome of a search.

    Attributes:
        streams: The largest number that was held; 0 if none was.
        target_ms: For the 99th percentile of the chunks' latencies, in milliseconds.
    """

    streams: int
    target_ms: float


def table(results: Sequence[Result], largest: Largest | None = None) -> Table:
    """A column for each number of streams; each measure p50 / p95 / p99 / max in milliseconds."""
    title = "Latency, ms: p50 / p95 / p99 / max"
    grid = Table("streams", *(str(result.streams) for result in results), title=title)
    grid.add_row("played, s", *(f"{result.audio_s:.0f}" for result in results))
    for name in MEASURES:
        grid.add_row(name.replace("_", " "), *(_cell(getattr(result, name)) for result in results))
    grid.add_row("WER", *(_share(result.wer) for result in results))
    grid.add_row("compute / audio", *(_number(result.real_time_factor) for result in results))
    grid.add_row("audio, s/s", *(f"{result.speed:.1f}" for result in results))
    grid.add_row("client, CPU s/s", *(f"{result.client_cores:.2f}" for result in results))
    grid.add_row("errors", *(_counts(result.errors) for result in results))
    if largest is not None:
        grid.caption = f"Largest number of streams with p99 <= {largest.target_ms:g} ms: {largest.streams}"
    return grid


def as_json(results: Sequence[Result], settings: dict[str, object], largest: Largest | None = None) -> str:
    """All results and what they were measured with."""
    value = {
        "settings": settings,
        "unit": "ms",
        "results": [asdict(result) for result in results],
        "largest": None if largest is None else asdict(largest),
    }
    return json.dumps(value, indent=1) + "\n"


def _cell(values: Summary | None) -> str:
    return "–" if values is None else f"{values.p50:.0f} / {values.p95:.0f} / {values.p99:.0f} / {values.max:.0f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _counts(errors: dict[str, int]) -> str:
    return ", ".join(f"{count} × {name}" for name, count in sorted(errors.items())) or "0"
