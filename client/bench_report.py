"""The benchmark's results as a table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.table import Table

from client.bench import Result
from client.latency import Summary

MEASURES = ("partial", "first_word", "final", "stop", "queue", "compute", "network")


def table(results: Sequence[Result]) -> Table:
    """A column for each number of streams; each measure p50 / p95 / p99 in milliseconds."""
    grid = Table("streams", *(str(result.streams) for result in results), title="Latency, ms: p50 / p95 / p99")
    grid.add_row("played, s", *(f"{result.audio_s:.0f}" for result in results))
    for name in MEASURES:
        grid.add_row(name.replace("_", " "), *(_cell(getattr(result, name)) for result in results))
    grid.add_row("WER", *("–" if result.wer is None else f"{100 * result.wer:.1f} %" for result in results))
    grid.add_row("errors", *(_counts(result.errors) for result in results))
    return grid


def as_json(results: Sequence[Result], settings: dict[str, object]) -> str:
    """All results and what they were measured with."""
    value = {"settings": settings, "unit": "ms", "results": [asdict(result) for result in results]}
    return json.dumps(value, indent=1) + "\n"


def _cell(values: Summary | None) -> str:
    return "–" if values is None else f"{values.p50:.0f} / {values.p95:.0f} / {values.p99:.0f}"


def _counts(errors: dict[str, int]) -> str:
    return ", ".join(f"{count} × {name}" for name, count in sorted(errors.items())) or "0"
