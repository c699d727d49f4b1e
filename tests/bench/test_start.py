"""The start-up benchmark's parts that need no model."""

import os
import sys

import pytest
from rich.console import Console

from tests.bench.start import Times, run_process, show


def test_a_process_is_timed_and_must_succeed() -> None:
    wall_s, cpu_s = run_process([sys.executable, "-c", "sum(range(1_000_000))"], dict(os.environ))
    assert wall_s > 0
    assert cpu_s > 0
    with pytest.raises(RuntimeError, match="expected success, got status 3"):
        run_process([sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ))


def test_the_table_has_medians_and_their_ratio() -> None:
    times = Times()
    for cold, kept in ((20.0, 4.0), (10.0, 5.0), (90.0, 9.0)):
        times.add("ready", False, cold)
        times.add("ready", True, kept)
    times.add("import client", True, 0.125, 0.1)
    console = Console(width=120, record=True)
    console.print(show(times))
    ready, imported = (
        next(line for line in console.export_text(clear=False).splitlines() if what in line)
        for what in ("ready", "import client")
    )
    assert [cell.strip() for cell in ready.strip("│").split("│")] == [
        "ready",
        "20.00",
        "≤ 15",
        "5.00",
        "≤ 6",
        "4.0",
        "",
    ]
    assert "0.12" in imported and "≤ 0.3" in imported
