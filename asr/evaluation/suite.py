"""`asr evaluate --report`: every cell of the report, one after the other, resumable, and the report itself."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from asr.engine_kind import PHONETIC
from asr.errors import AsrError
from asr.evaluate import Evaluation, evaluate, read_scored
from asr.evaluation.alignment import Aligner
from asr.evaluation.cells import CLEAN, JOINED, WORDS, Cell, Finished, plan, subject_of
from asr.evaluation.conditions import Condition, joined, joined_samples, joined_utterance, spoilt
from asr.evaluation.listening import listen
from asr.evaluation.report import chunk_name, decoder_name, tables
from asr.evaluation.word_measures import WordMeasures
from asr.language.phonetic import can_search_phonemes
from asr.model_folder import bundled_model
from asr.streaming.engine import chunk_frames
from asr.streaming.recognizer import OFFLINE_MS, Recognizer
from data.audio import Samples, load_audio, recordings_in
from data.manifest import Utterance
from data.text import normalise

CHUNKS = (160, 320, 640, 1280, OFFLINE_MS)
BEAMS = (1, 16)  # and, where the model has pronunciations, the phonetic search
CONDITION_CHUNK_MS = 640
TAIL_MS = 2000  # of silence after each utterance, in which its end is to be noticed


@dataclass(frozen=True)
class SuiteConfig:
    """What a report holds.

    Attributes:
        manifest: JSONL file.
        output: Folder of the report and of what is done of it.
        splits: Splits; empty: all that have references. Conditions are measured on the first.
        chunks: Chunk sizes, ms.
        beams: Hypotheses of each decoder; 1: greedy; 0: the phonetic search; empty: all three, the last if the model
            can.
        model: Model folder; None: the bundled model.
        noise: Folder of noise recordings; None: no conditions with noise.
        every: Only every so many utterances of each split.
        batch: Utterances at a time.
        words: Whether to hold words' times against pocketsphinx, too; None: if it is installed.
    """

    manifest: Path
    output: Path
    splits: tuple[str, ...] = ()
    chunks: tuple[int, ...] = CHUNKS
    beams: tuple[int, ...] = ()
    model: Path | None = None
    noise: Path | None = None
    every: int = 1
    batch: int = 16
    words: bool | None = None

    def __post_init__(self) -> None:
        """Checks the ranges.

        Raises:
            AsrError: naming what is wrong.
        """
        if not self.chunks:
            raise AsrError("report: expected a chunk size or more, got none")
        if self.every < 1:
            raise AsrError(f"every: expected 1 or more, got {self.every}")
        for chunk_ms in self.chunks:
            chunk_frames(chunk_ms)


def run_suite(config: SuiteConfig, make: Callable[[int, int], Recognizer] | None = None) -> dict[str, Any]:
    """Evaluates every cell that is not done yet and writes report.json and report.md.

    Args:
        config: What to evaluate.
        make: Gives a recogniser for a chunk size and a beam; None: of the model folder.

    Returns:
        "cells", each with its split, chunk_ms, beam, condition and figures, and what they are of.

    Raises:
        AsrError: if a split has no utterance with a reference, or the model folder no readable configuration.
        ValueError: from the manifest or an audio file, naming it.
    """
    by_split = _utterances(config)
    splits = list(config.splits) or sorted(by_split)
    noises = recordings_in(config.noise) if config.noise else []
    conditions: dict[str, Condition] = spoilt([load_audio(path) for path in noises])
    model = config.model or bundled_model()
    everything = [u for split in splits for u in by_split[split]]
    subject = subject_of(model, everything, noises, [config.every])
    finished = Finished(config.output / "cells", subject)
    at = CONDITION_CHUNK_MS if CONDITION_CHUNK_MS in config.chunks else config.chunks[0]
    words = [WORDS] if config.words or (config.words is None and find_spec("pocketsphinx")) else []
    beams = config.beams or (*BEAMS, *([PHONETIC] if can_search_phonemes(model) else []))
    if PHONETIC in beams and not can_search_phonemes(model):  # before the other cells are computed
        raise AsrError(f"beam: expected a model with a lexicon for 0, the phonetic search; {model} has none")
    cells = list(plan(splits, config.chunks, beams, [*conditions, JOINED, *words], at))
    if make is None:

        def make(chunk_ms: int, beam: int) -> Recognizer:
            return Recognizer(model, chunk_ms, streams=config.batch, beam=beam)

    rows: list[dict[str, Any]] = []
    loaded: tuple[tuple[int, int], Recognizer] | None = None
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        whole = bars.add_task("report", total=len(cells))
        for cell in cells:
            result = finished.get(cell)
            if result is None:
                key = cell.chunk_ms, cell.beam
                if loaded is None or loaded[0] != key:
                    loaded = key, make(*key)
                bar = bars.add_task(name_of(cell), total=None)
                result = _evaluated(
                    loaded[1],
                    cell,
                    by_split[cell.split],
                    conditions,
                    lambda done, total, bar=bar: bars.update(bar, completed=done, total=total),  # type: ignore[misc]
                )
                finished.put(cell, result)
                bars.remove_task(bar)
            rows.append({**_described(cell), **result})
            bars.advance(whole)
    report = {"model": model.name, "subject": subject, "every": config.every, "splits": splits, "cells": rows}
    (config.output / "report.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (config.output / "report.md").write_text(tables(report), encoding="utf-8")
    return report


def name_of(cell: Cell) -> str:
    """A cell in words."""
    parts = [cell.split, chunk_name(cell.chunk_ms), decoder_name(cell.beam), cell.condition]
    return ", ".join(part for part in parts if part)


def _described(cell: Cell) -> dict[str, Any]:
    return {"split": cell.split, "chunk_ms": cell.chunk_ms, "beam": cell.beam, "condition": cell.condition}


def _utterances(config: SuiteConfig) -> dict[str, list[Utterance]]:
    found: dict[str, list[Utterance]] = {}
    for utterance in read_scored(config.manifest, config.splits):
        found.setdefault(utterance.split, []).append(utterance)
    return {split: utterances[:: config.every] for split, utterances in found.items()}


def _evaluated(
    recognizer: Recognizer,
    cell: Cell,
    utterances: Sequence[Utterance],
    conditions: dict[str, Condition],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    if cell.condition == WORDS:
        return _words(recognizer, utterances, progress)
    return _texts(recognizer, cell, utterances, conditions, progress).summary()


def _words(
    recognizer: Recognizer, utterances: Sequence[Utterance], progress: Callable[[int, int], None]
) -> dict[str, Any]:
    aligner, measures = Aligner(), WordMeasures()
    for heard in listen(recognizer, utterances, TAIL_MS, progress):
        utterance = heard.utterance
        measures.add(heard, aligner.align(load_audio(utterance.audio), normalise(utterance.transcript).split()))
    return measures.summary()


def _texts(
    recognizer: Recognizer,
    cell: Cell,
    utterances: Sequence[Utterance],
    conditions: dict[str, Condition],
    progress: Callable[[int, int], None],
) -> Evaluation:
    if cell.condition == JOINED:
        groups = {joined_utterance(group).id: group for group in joined(utterances)}
        whole = [joined_utterance(group) for group in groups.values()]
        return evaluate(recognizer, whole, progress, lambda u: joined_samples(groups[u.id]))
    if cell.condition == CLEAN:
        return evaluate(recognizer, utterances, progress)
    condition = conditions[cell.condition]

    def load(utterance: Utterance) -> Samples:
        return condition(utterance.id, load_audio(utterance.audio))

    return evaluate(recognizer, utterances, progress, load)
