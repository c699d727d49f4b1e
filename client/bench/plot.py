"""The benchmark's results as pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from client.bench.run import Result

COLOURS = "viridis"
DOTS_PER_INCH = 120


def plot(results: Sequence[Result], target_ms: float | None, path: Path) -> None:
    """Draws the distribution of the chunks' latencies, and latency against the number of streams.

    Args:
        results: To draw; those without latencies are left out.
        target_ms: Drawn as a line; None: no line.
        path: Of the picture; its extension tells the kind.

    Raises:
        ValueError: if matplotlib is not installed, or does not write such files.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ValueError("matplotlib is not installed: pip install matplotlib, or leave --plot out") from error
    drawn = sorted((result for result in results if result.chunk is not None), key=lambda result: result.streams)
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    distribution, against = figure.subplots(1, 2)
    _draw_distributions(distribution, drawn)
    _draw_against_streams(against, drawn)
    for axes, line in ((distribution, "axvline"), (against, "axhline")):
        axes.grid(alpha=0.3)
        _label_decades(axes.xaxis if axes is distribution else axes.yaxis)
        if target_ms is not None:
            getattr(axes, line)(target_ms, color="grey", linestyle="--", linewidth=1)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _label_decades(axis: Any) -> None:
    """Ticks of a logarithmic axis at 1, 2 and 5 of each decade, in plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _draw_distributions(axes: Any, results: Sequence[Result]) -> None:
    from matplotlib import colormaps

    for place, result in enumerate(results):
        colour = colormaps[COLOURS](place / max(1, len(results) - 1) * 0.9)
        axes.plot(result.distribution, range(101), color=colour, label=f"{result.streams}")
    axes.set(title="Chunk latency", xlabel="ms from sent to event", ylabel="% of chunks", xscale="log")
    if results:
        axes.legend(title="streams", fontsize="small")


def _draw_against_streams(axes: Any, results: Sequence[Result]) -> None:
    streams = [result.streams for result in results]
    for name in ("p50", "p95", "p99"):
        axes.plot(streams, [getattr(result.chunk, name) for result in results], marker="o", label=name)
    axes.set(title="Against the number of streams", xlabel="streams", ylabel="ms", yscale="log")
    if results:
        axes.legend(fontsize="small")
