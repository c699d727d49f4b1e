"""Learning curves of runs, in a row or side by side: losses and dev WER against hours of audio heard."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError

LOSSES = {
    "characters": "tab:green",
    "pieces": "tab:blue",
    "phonemes": "tab:olive",
    "crf": "tab:orange",
    "transducer": "tab:red",
    "text": "tab:gray",
    "decoder": "tab:purple",
}
HANDED_ON = " (dotted: the next run starts from the one before)"
STYLES = ("-", "--", ":", "-.")  # of runs side by side
HEADS = ("characters", "pieces", "phonemes", "transducer", "decoder")


@dataclass(frozen=True)
class Curve:
    """One quantity over several runs.

    Attributes:
        hours: Audio heard at each point, from the first run's start.
        values: As many; NaN where a loss was off, for no line may pass through what was not.
    """

    hours: list[float]
    values: list[float]


def read_curves(runs: Sequence[Path]) -> tuple[dict[str, Curve], dict[str, Curve], list[float]]:
    """Reads train.csv and dev.csv of each run.

    Args:
        runs: Folders of runs, in the order in which each started from the one before.

    Returns:
        Losses by name (nats a label); WER by "SPLIT HEAD"; and hours at which a run ended.

    Raises:
        AsrError: if a folder has no train.csv, or one that is none.
    """
    losses: dict[str, Curve] = {}
    rates: dict[str, Curve] = {}
    ends: list[float] = []
    before = 0.0
    for run in runs:
        rows = _rows(run / "train.csv")
        for row in rows:
            values = {name: row.get(name) or ("nan" if name in losses else None) for name in LOSSES}
            _add(losses, values, before + float(row["hours"]))
        for row in _rows(run / "dev.csv") if (run / "dev.csv").exists() else []:
            values = {f"{row['split']} {head}": row.get(head) for head in HEADS}
            _add(rates, values, before + float(row["hours"]))
        before += float(rows[-1]["hours"])
        ends.append(before)
    return losses, rates, ends


def draw_curves(runs: Sequence[Path], output: Path, side_by_side: bool = False) -> None:
    """Draws the curves of `read_curves`, losses above WER, as a picture (PNG, SVG or PDF by its name).

    Args:
        runs: Folders of runs.
        output: The picture.
        side_by_side: Whether each run has lines of its own, from 0 hours on, named after its folder; else each started
            from the one before.

    Raises:
        AsrError: as `read_curves`, for another kind of picture, or for more runs side by side than there are styles.
    """
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    if side_by_side and len(runs) > len(STYLES):
        raise AsrError(f"expected at most {len(STYLES)} runs side by side, got {len(runs)}")
    alike = len({run.name for run in runs}) < len(runs)
    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    groups = [[run] for run in runs] if side_by_side else [list(runs)]
    ends: list[float] = []
    for number, group in enumerate(groups):
        losses, rates, ends = read_curves(group)
        run = f"{group[0] if alike else group[0].name}: " if side_by_side else ""
        style = STYLES[number]
        for name, curve in losses.items():
            above.plot(curve.hours, curve.values, style, color=LOSSES[name], linewidth=1, label=run + name)
        for name, curve in rates.items():
            values, color = [100 * v for v in curve.values], LOSSES[name.split()[-1]]
            below.plot(curve.hours, values, f"o{style}", color=color, markersize=4, label=run + name)
    for axes, label in ((above, "training loss, nats per label"), (below, "WER, %")):
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
        for end in ends[:-1]:
            axes.axvline(end, color="black", linewidth=0.6, linestyle=":")
    above.set_ylim(0, 6)
    below.set_ylim(0, 100)
    below.set_xlabel("hours of audio heard" + ("" if side_by_side else HANDED_ON))
    try:
        figure.savefig(output, dpi=110)
    except ValueError as error:
        raise AsrError(f"{output}: expected a name that ends in .png, .svg or .pdf: {error}") from error


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise AsrError(f"{path}: {error.strerror}: expected the folder of a training run") from error
    if not rows or "hours" not in rows[0]:
        raise AsrError(f"{path}: expected rows with hours, as `asr train` writes them")
    return rows


def _add(curves: dict[str, Curve], values: dict[str, str | None], hours: float) -> None:
    for name, value in values.items():
        if value:
            curve = curves.setdefault(name, Curve([], []))
            curve.hours.append(hours)
            curve.values.append(float(value))
