"""`python -m asr.attention_models`: where several models looked in the same recording, side by side.

For models that differ in the attention of their joints (`model.attention`): what each mechanism has learnt.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from asr.attention_picture import FRAME_S, heat, rows_of
from asr.attention_rules import DARKEST
from asr.audio.files import read_blocks
from asr.features import SAMPLE_RATE
from asr.streaming.attended import Attended
from asr.streaming.recognizer import Recognizer

COLUMNS = 5
ROW_INCHES = 0.115  # of a wordpiece


def draw_models(found: Mapping[str, Attended], output: Path) -> None:
    """Draws a panel for each model: a row for each wordpiece it emitted, the mean of its heads.

    Args:
        found: What each model looked at, by its name.
        output: .png, .svg or .pdf.
    """
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    rows = {name: rows_of(attended.looks, words=False) for name, attended in found.items()}
    columns = min(COLUMNS, len(found))
    lines = -(-len(found) // columns)
    height = max(ROW_INCHES * max(map(len, rows.values())), 1.5) + 0.6
    figure = Figure(figsize=(3.3 * columns, height * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for ax, (name, attended) in zip(axes.flat, found.items(), strict=False):
        frames = max(round(attended.looks[-1].end_ms / 1000 / FRAME_S) if attended.looks else 0, 1)
        grid = np.stack([heat(parts, None, frames) for _, parts in rows[name]] or [np.zeros(frames, np.float32)])
        extent = (0, frames * FRAME_S, len(grid) - 0.5, -0.5)
        ax.imshow(grid, aspect="auto", extent=extent, cmap="Blues", vmin=0, vmax=DARKEST, interpolation="nearest")
        for look in attended.looks:
            ax.axvline(look.end_ms / 1000, color="gray", linewidth=0.4, alpha=0.6)
        ax.set_title(name, fontsize="medium")
        ax.set_yticks(range(len(rows[name])), [label for label, _ in rows[name]], fontsize=5)
    for ax in axes.flat[len(found) :]:
        ax.axis("off")
    for ax in axes.flat[: len(found)][-columns:]:  # the lowest of each column
        ax.set_xlabel("seconds")
    figure.savefig(output, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    """Recognises a recording with every model, and prints the words."""
    parser = argparse.ArgumentParser(description="Draw where several models look in the same recording.")
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "models",
        type=Path,
        nargs="+",
        help="model folders; their names, or paths if some are alike, are the panels' titles",
    )
    parser.add_argument("--output", type=Path, default=Path("attention-models.png"))
    options = parser.parse_args(arguments)
    samples = np.concatenate(list(read_blocks(options.file, SAMPLE_RATE)))
    names = [model.resolve().name for model in options.models]
    if len(set(names)) < len(names):
        names = [str(model) for model in options.models]
    found = {}
    for name, model in zip(names, options.models, strict=True):
        found[name] = Recognizer(model, mode="eager", beam=1).attend(samples)  # compiling would take longer
        print(f"{name}: {found[name].transcript.text}")
    draw_models(found, options.output)


if __name__ == "__main__":
    main()
