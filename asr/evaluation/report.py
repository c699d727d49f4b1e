"""A report as tables in Markdown, which a terminal shows as well."""

from collections.abc import Iterable, Sequence
from typing import Any

from asr.evaluation.cells import CLEAN
from asr.streaming.recognizer import OFFLINE_MS


def tables(report: dict[str, Any]) -> str:
    """All tables of what `run_suite` returns."""
    cells = report["cells"]
    parts = ["## Word error rate", _table(("split", *_CLEAN_COLUMNS), _clean_rows(cells))]
    if any(cell["condition"] for cell in cells):
        parts += ["## Conditions", _table(_CONDITION_COLUMNS, _condition_rows(cells))]
    every = report["every"]
    about = f"Model `{report['model']}`; " + ("all utterances." if every == 1 else f"one utterance of {every}.")
    return "\n\n".join([about, *parts]) + "\n"


_CLEAN_COLUMNS = ("words", "chunk", "decoder", "WER", "I / D / S", "RTF")
_CONDITION_COLUMNS = ("condition", "split", "chunk", "decoder", "WER", "I / D / S", "against clean")


def chunk_name(chunk_ms: int) -> str:
    """A chunk size in words."""
    return "offline" if chunk_ms == OFFLINE_MS else f"{chunk_ms} ms"


def decoder_name(beam: int) -> str:
    """A decoder in words."""
    return "greedy" if beam == 1 else f"beam of {beam}"


def _clean_rows(cells: Sequence[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    clean = [cell for cell in cells if cell["condition"] == CLEAN]
    for split in dict.fromkeys(cell["split"] for cell in clean):
        for cell in clean:
            if cell["split"] == split:
                decoder = decoder_name(cell["beam"])
                figures = str(cell["words"]), chunk_name(cell["chunk_ms"]), decoder, _percent(cell["wer"])
                yield split, *figures, _errors(cell), f"{cell['rtf']:.4f}"


def _condition_rows(cells: Sequence[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    clean = {(c["split"], c["chunk_ms"], c["beam"]): c["wer"] for c in cells if c["condition"] == CLEAN}
    spoilt = [cell for cell in cells if cell["condition"] != CLEAN]
    for condition in dict.fromkeys(cell["condition"] for cell in spoilt):
        for cell in spoilt:
            if cell["condition"] == condition:
                base = clean[cell["split"], cell["chunk_ms"], cell["beam"]]
                ratio = f"{cell['wer'] / base:.3f} ×" if base else "–"
                place = cell["split"], chunk_name(cell["chunk_ms"]), decoder_name(cell["beam"])
                yield condition, *place, _percent(cell["wer"]), _errors(cell), ratio


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _errors(cell: dict[str, Any]) -> str:
    return " / ".join(str(cell[name]) for name in ("insertions", "deletions", "substitutions"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    padded = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]
    return "\n".join([padded[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *padded[1:]])
