"""A report as tables in Markdown, which a terminal shows as well."""

from collections.abc import Iterable, Sequence
from typing import Any

from asr.engine_kind import PHONETIC
from asr.evaluation.cells import CLEAN, WORDS
from asr.streaming.recognizer import OFFLINE_MS


def tables(report: dict[str, Any]) -> str:
    """All tables of what `run_suite` returns."""
    cells = report["cells"]
    parts = ["## Word error rate", _table(("split", *_CLEAN_COLUMNS), _clean_rows(cells))]
    words = [cell for cell in cells if cell["condition"] == WORDS]
    cells = [cell for cell in cells if cell["condition"] != WORDS]
    if any(cell["condition"] for cell in cells):
        parts += ["## Conditions", _table(_CONDITION_COLUMNS, _condition_rows(cells))]
    if words:
        parts += ["## Words", _table(_WORD_COLUMNS, _word_rows(words))]
    every = report["every"]
    about = f"Model `{report['model']}`; " + ("all utterances." if every == 1 else f"one utterance of {every}.")
    return "\n\n".join([about, *parts]) + "\n"


_CLEAN_COLUMNS = ("words", "chunk", "decoder", "WER", "I / D / S", "RTF")
_CONDITION_COLUMNS = ("condition", "split", "chunk", "decoder", "WER", "I / D / S", "against clean")
_WORD_COLUMNS = (
    "split",
    "chunk",
    "decoder",
    "start, end: median error",
    "emission p50 / p90",
    "calibration error",
    "endpoints, in a word",
    "endpoint delay p50 / p90",
)


def chunk_name(chunk_ms: int) -> str:
    """A chunk size in words."""
    return "offline" if chunk_ms == OFFLINE_MS else f"{chunk_ms} ms"


def decoder_name(beam: int) -> str:
    """A decoder in words."""
    return {PHONETIC: "phonetic", 1: "greedy"}.get(beam, f"beam of {beam}")


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


def _word_rows(cells: Sequence[dict[str, Any]]) -> Iterable[tuple[str, ...]]:
    for cell in cells:
        yield (
            cell["split"],
            chunk_name(cell["chunk_ms"]),
            decoder_name(cell["beam"]),
            " / ".join(_ms(cell[name]["median"]) for name in ("start_error_ms", "end_error_ms")),
            " / ".join(_ms(cell["emission_latency_ms"][name]) for name in ("p50", "p90")),
            f"{cell['calibration_error']:.3f}",
            f"{cell['endpoints']}, {cell['words_cut']}",
            " / ".join(_ms(cell["endpoint_delay_ms"][name]) for name in ("p50", "p90")),
        )


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"


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
