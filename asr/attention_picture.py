"""`asr attend`: a recording's attention as a picture or a page."""

import html
import io
import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.audio.files import read_blocks
from asr.engine_kind import PHONETIC
from asr.errors import AsrError
from asr.features import SAMPLE_RATE
from asr.model_folder import bundled_model, default_beam
from asr.streaming.attended import Attended
from asr.streaming.looks import BlockLook
from asr.streaming.recognizer import Recognizer

INCHES_PER_SECOND = 1.3
WIDTH_INCHES = (8.0, 60.0)
ROW_INCHES = 0.13  # of a wordpiece
FRAME_S = 0.08
KINDS = (".png", ".svg", ".pdf", ".html")


def draw_attention(attended: Attended, output: Path, title: str, *, words: bool = False, heads: bool = False) -> None:
    """Draws log-mel, where every label looked, how sure the model was that a block was done, and the encoder's windows.

    Args:
        attended: From `Recognizer.attend`.
        output: .png, .svg, .pdf or .html, a page with the picture and a table of the words.
        title: Above the picture.
        words: Whether a row is a word, the mean of its wordpieces.
        heads: Whether every head has a panel of its own; else their mean is drawn.

    Raises:
        AsrError: for another kind of output.
    """
    kind = _kind(output)
    figure = _figure(attended, title, words, heads)
    if kind != ".html":
        figure.savefig(output, dpi=110)
        return
    picture = io.StringIO()
    figure.savefig(picture, format="svg")
    svg = picture.getvalue()
    output.write_text(_page(attended, title, svg[svg.index("<svg") :]), encoding="utf-8")


def attend_file(
    file: Path,
    output: Path,
    chunk_ms: int,
    model: Path | None,
    seconds: float,
    beam: int | None,
    *,
    words: bool,
    heads: bool,
) -> str:
    """Recognises the start of a recording and draws its attention; returns the text.

    Args:
        file: Any audio file.
        output: As `draw_attention`.
        chunk_ms: Audio per step.
        model: Model folder; None: the bundled model.
        seconds: Of the recording, from its start.
        beam: Hypotheses of the search, of which the likeliest is drawn; 1: greedy; None: as the model folder says, or
            greedily where it says the phonetic search.
        words: As `draw_attention`.
        heads: As `draw_attention`.

    Raises:
        AsrError: for another kind of output or a chunk size that is not served.
        AudioError: if the file cannot be read.
        CheckpointError: if the model cannot be read.
    """
    _kind(output)
    wanted = round(seconds * SAMPLE_RATE)
    samples = np.concatenate(list(islice(read_blocks(file, SAMPLE_RATE), math.ceil(seconds))))[:wanted]
    if beam is None and default_beam(model or bundled_model()) == PHONETIC:
        beam = 1  # that search does not look where the transducer does
    attended = Recognizer(model, chunk_ms, beam=beam).attend(samples)
    draw_attention(attended, output, f"{file.name}, chunks of {chunk_ms} ms", words=words, heads=heads)
    return attended.transcript.text


def rows_of(looks: Sequence[BlockLook], words: bool) -> list[tuple[str, list[tuple[float, NDArray[np.float32]]]]]:
    """Rows of the picture: a label, and for each wordpiece of it its first frame's start (s) and weights [H, K]."""
    rows: list[tuple[str, list[tuple[float, NDArray[np.float32]]]]] = []
    for look in looks:
        begin = look.end_ms / 1000 - FRAME_S * look.weights.shape[-1]
        for label, weights in zip(look.labels, look.weights, strict=True):
            if words and rows and not label.startswith("▁"):
                rows[-1] = rows[-1][0] + label, [*rows[-1][1], (begin, weights)]
            else:
                rows.append((label, [(begin, weights)]))
    return [(label.replace("▁", "") if words else label, parts) for label, parts in rows]


def heat(parts: Sequence[tuple[float, NDArray[np.float32]]], head: int | None, columns: int) -> NDArray[np.float32]:
    """One row of the picture on a grid of 80 ms: the mean over its wordpieces, [columns].

    Args:
        parts: Of `rows_of`.
        head: Which; None: the mean of all.
        columns: Frames of the recording.
    """
    row = np.zeros(columns, np.float32)
    for begin, weights in parts:
        values = weights.mean(axis=0) if head is None else weights[head]
        first = round(begin / FRAME_S)
        for k, value in enumerate(values):
            if 0 <= first + k < columns:
                row[first + k] += value / len(parts)
    return row


def _kind(output: Path) -> str:
    kind = output.suffix.lower()
    if kind not in KINDS:
        raise AsrError(f"{output}: expected a name that ends in {', '.join(KINDS)}")
    return kind


def _figure(attended: Attended, title: str, words: bool, heads: bool) -> Any:
    from matplotlib.figure import Figure  # without pyplot: no display, no global state

    seconds = max(len(attended.frames) / 100, attended.looks[-1].end_ms / 1000 if attended.looks else 0.0, 0.1)
    rows = rows_of(attended.looks, words)
    count = attended.looks[0].weights.shape[1] if heads and attended.looks else 1
    panel = max(1.6, ROW_INCHES * len(rows))
    heights = [1.5, *[panel] * count, 0.8, 1.9]
    width = float(np.clip(INCHES_PER_SECOND * seconds + 1.5, *WIDTH_INCHES))
    figure = Figure(figsize=(width, sum(heights) + 1.2), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    axes = figure.subplots(len(heights), 1, gridspec_kw={"height_ratios": heights})
    _draw_mel(axes[0], attended, seconds)
    for n in range(count):
        _draw_rows(axes[1 + n], attended, rows, seconds, n if count > 1 else None)
    _draw_ends(axes[-2], attended, seconds)
    _draw_patterns(figure, axes[-1], attended)
    return figure


def _draw_mel(axes: Any, attended: Attended, seconds: float) -> None:
    frames = attended.frames
    if frames.size:
        low, high = np.percentile(frames, [5, 99.5])
        extent = (0, len(frames) / 100, 0, frames.shape[1])
        axes.imshow(frames.T, aspect="auto", origin="lower", extent=extent, cmap="magma", vmin=low, vmax=high)
    axes.set(xlim=(0, seconds), ylabel="mel band", xticks=[])
    _block_lines(axes, attended, "white")
    above = axes.secondary_xaxis("top")
    found = attended.transcript.words
    above.set_xticks([word.start_ms / 1000 for word in found], [word.word for word in found], rotation=45, ha="left")
    above.tick_params(length=3, labelsize="small")


def _draw_rows(axes: Any, attended: Attended, rows: list[Any], seconds: float, head: int | None) -> None:
    columns = round(seconds / FRAME_S) + 1
    grid = np.stack([heat(parts, head, columns) for _, parts in rows]) if rows else np.zeros((1, columns))
    extent = (0, columns * FRAME_S, len(grid) - 0.5, -0.5)
    axes.imshow(grid, aspect="auto", extent=extent, cmap="Blues", vmin=0, vmax=max(0.5, float(grid.max())))
    axes.set(xlim=(0, seconds), xticks=[])
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=6)
    axes.set_ylabel("where it looked" if head is None else f"head {head + 1}")
    _block_lines(axes, attended, "gray")


def _draw_ends(axes: Any, attended: Attended, seconds: float) -> None:
    looks = attended.looks
    starts, widths = [x.start_ms / 1000 for x in looks], [(x.end_ms - x.start_ms) / 1000 for x in looks]
    chances = [x.end_probability for x in looks]
    axes.bar(starts, chances, widths, align="edge", color="tab:orange", edgecolor="white", linewidth=0.5)
    axes.set(xlim=(0, seconds), ylim=(0, 1), ylabel="block\ndone", xlabel="seconds")


def _draw_patterns(figure: Any, axes: Any, attended: Attended) -> None:
    """A row for each layer: what share of its attention falls on each distance, by a colour of its own scale."""
    axes.set_ylabel("encoder layer")
    axes.set_xlabel("seconds from the frame that looks to the one looked at")
    names = list(attended.encoder)
    for n, name in enumerate(names):
        pattern = attended.encoder[name]
        shares = pattern.weights.mean(axis=0)
        step = (pattern.offsets_ms[1] - pattern.offsets_ms[0]) / 1000 if len(pattern.offsets_ms) > 1 else FRAME_S
        edges = np.append(pattern.offsets_ms / 1000, pattern.offsets_ms[-1] / 1000 + step) - step / 2
        axes.pcolormesh(edges, [n - 0.45, n + 0.45], (shares / shares.max())[None], cmap="Greens", vmin=0, vmax=1)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.axvline(0, color="gray", linewidth=0.6, linestyle=":")
    axes.invert_yaxis()


def _block_lines(axes: Any, attended: Attended, color: str) -> None:
    for look in attended.looks:
        axes.axvline(look.end_ms / 1000, color=color, linewidth=0.4, alpha=0.6)


def _page(attended: Attended, title: str, svg: str) -> str:
    name = html.escape(title)
    cells = "\n".join(
        f"<tr><td>{html.escape(w.word)}<td>{w.start_ms / 1000:.2f}<td>{w.end_ms / 1000:.2f}<td>{w.confidence:.2f}"
        for w in attended.transcript.words
    )
    return (
        f"<!doctype html>\n<html lang='en'><meta charset='utf-8'><title>{name}</title>\n"
        "<style>body{font:15px system-ui,sans-serif;margin:1em}svg{max-width:none}td,th{padding:0 1em;text-align:left}"
        f"</style>\n<h1>{name}</h1>\n<p>{html.escape(attended.transcript.text)}</p>\n<div style='overflow-x:auto'>{svg}"
        f"</div>\n<table><tr><th>word<th>start, s<th>end, s<th>confidence\n{cells}</table></html>\n"
    )
