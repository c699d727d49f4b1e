"""The benchmark's results: one table, JSON and pictures."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.bench.history import Number
from tests.bench.peer import PEER, Peer
from tests.bench.steps import BEAM, StepTimes

DOTS_PER_INCH = 120


@dataclass
class Results:
    """Everything that a run measured.

    Attributes:
        machine: As `machine.about`.
        rates: Product rates, 10^9 operations per second.
        steps: Step times of all engines.
        operations: Of a step by its rows.
        idle_mib: Memory of an idle stream by engine.
        start_s: Of a start by what and whether programs were kept, in seconds.
        streams: Through the websocket: streams and p99 in ms, by their number.
        held: Streams at most with p99 at most the chunk's length; None: not searched.
        linear: Cost by length, of a long recording against a short one.
        peers: Ours and the peer on the same recordings.
    """

    machine: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    steps: list[StepTimes] = field(default_factory=list)
    operations: dict[int, float] = field(default_factory=dict)
    idle_mib: dict[str, float] = field(default_factory=dict)
    start_s: dict[str, float] = field(default_factory=dict)
    streams: dict[int, float] = field(default_factory=dict)
    held: int | None = None
    linear: dict[str, float] = field(default_factory=dict)
    peers: list[Peer] = field(default_factory=list)

    @property
    def peak(self) -> float:
        """The fastest float32 product, 10^9 operations per second; 0 if none was timed."""
        return max((rate for name, rate in self.rates.items() if name != "bfloat16"), default=0.0)

    def numbers(self) -> tuple[Number, ...]:
        """What the history keeps; ratios of one run where there are some, since these depend less on the machine."""
        found = [Number(f"step {one.engine} x {one.rows}", one.p50_ms, "ms") for one in self.steps]
        found += [Number(f"step p99 {one.engine} x {one.rows}", one.p99_ms, "ms") for one in self.steps]
        found += [Number(f"products {name}", rate, "gflops") for name, rate in self.rates.items()]
        found += [Number(f"idle stream {name}", value, "MiB") for name, value in self.idle_mib.items()]
        found += [Number(f"start {name}", value, "s") for name, value in self.start_s.items()]
        found += [Number(f"p99 of {count} streams", value, "ms") for count, value in self.streams.items()]
        found += [Number("streams held", self.held, "streams")] if self.held is not None else []
        found += [Number(name, value, "ratio") for name, value in self.linear.items() if name == "cost_by_length"]
        for peer in self.peers:
            found += [Number(f"RTF {peer.name}", peer.rtf, "ratio"), Number(f"WER {peer.name}", 100 * peer.wer, "%")]
        return tuple(found)


def table(results: Results) -> Table:
    """One table of everything."""
    grid = Table(
        "what", "of", "value", "", title=f"{results.machine.get('processor')}, {results.machine.get('cpus')} CPUs"
    )
    for name, rate in results.rates.items():
        grid.add_row("matrix product, 10^9 operations/s", name, f"{rate:.0f}", "")
    grid.add_section()
    for rows in sorted({one.rows for one in results.steps}):
        of_size = [one for one in results.steps if one.rows == rows]
        base = next((one for one in of_size if one.engine == "xla"), of_size[0])
        for one in of_size:
            grid.add_row(*_step_row(one, base, results))
        grid.add_section()
    for name, value in results.idle_mib.items():
        grid.add_row("memory of an idle stream", name, f"{value:.2f} MiB", "")
    for name, value in results.start_s.items():
        grid.add_row("start", name, f"{value:.2f} s", "")
    for count, p99 in results.streams.items():
        grid.add_row("websocket, chunk sent → event", f"{count} streams", f"p99 {p99:.0f} ms", "")
    if results.held is not None:
        grid.add_row("websocket, p99 within a chunk", "", f"{results.held} streams", "")
    if results.linear:
        grid.add_row("cost by length, long / short", "", f"{results.linear['cost_by_length']:.3f}", "")
    base = next((peer.rtf for peer in results.peers if peer.name == PEER), None)
    for peer in results.peers:
        took = f"RTF {peer.rtf:.4f}, of processor time {peer.cpu:.4f}"
        took += f", {base / peer.rtf:.1f} × {PEER}" if base else ""
        grid.add_row("bundled recordings", peer.name, f"WER {100 * peer.wer:.1f} %", took)
    return grid


def _step_row(one: StepTimes, base: StepTimes, results: Results) -> list[str]:
    against = f"{base.p50_ms / one.p50_ms:.2f} × xla, {100 * one.share:.2f} % of real time a stream"
    if one.rows in results.operations and results.peak and not BEAM.fullmatch(one.engine):  # operations of greedy steps
        rate = results.operations[one.rows] / (one.p50_ms / 1000) / 1e9
        against += f", {rate:.0f} · 10^9/s = {100 * rate / results.peak:.0f} %"
    value = f"p50 {one.p50_ms:.2f} ms, p99 {one.p99_ms:.2f}"
    return [f"step, {one.chunk_ms} ms × {one.rows}", one.engine, value, against]


def write(results: Results, folder: Path) -> None:
    """Writes `bench.json`, `steps.png` and, where streams were measured, `streams.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**asdict(results), "peak": results.peak}, indent=1)
    (folder / "bench.json").write_text(text + "\n", encoding="utf-8")
    _plot_steps(results.steps, folder / "steps.png")
    if results.streams:
        _plot_streams(results.streams, folder / "streams.png")


def _figure() -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    return figure, axes


def _plot_steps(steps: Sequence[StepTimes], path: Path) -> None:
    figure, axes = _figure()
    for engine in dict.fromkeys(one.engine for one in steps):
        of_engine = [one for one in steps if one.engine == engine]
        axes.plot([one.rows for one in of_engine], [one.p50_ms / one.rows for one in of_engine], "o-", label=engine)
    axes.set(xscale="log", yscale="log", xlabel="streams in a step", ylabel="median step time / streams, ms")
    axes.legend()
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _plot_streams(streams: dict[int, float], path: Path) -> None:
    figure, axes = _figure()
    axes.plot(list(streams), list(streams.values()), "o-")
    axes.set(xlabel="streams", ylabel="p99, chunk sent → event, ms", yscale="log")
    figure.savefig(path, dpi=DOTS_PER_INCH)
