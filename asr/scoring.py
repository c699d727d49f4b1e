"""`asr evaluate`: scores the splits of a manifest, with a progress bar."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID

from asr.engine_kind import EngineKind
from asr.errors import AsrError
from asr.evaluate import Evaluation, evaluate, read_scored
from asr.streaming.recognizer import Recognizer


def score_manifest(
    manifest: Path,
    splits: Sequence[str] | None,
    chunk_ms: int,
    model: Path | None,
    batch: int,
    texts: Path | None,
    beam: int | None = None,
    lm_weight: float | None = None,
    ilm_weight: float | None = None,
    engine: EngineKind = EngineKind.xla,
) -> dict[str, dict[str, Any]]:
    """Figures of each split, by its name.

    Args:
        manifest: JSONL file.
        splits: Which; None: all that have references.
        chunk_ms: Audio per step.
        model: Model folder; None: the bundled model.
        batch: Utterances at a time.
        texts: Where to write ids, references and hypotheses, as JSONL; None: nowhere.
        beam: As `Recognizer` takes it.
        lm_weight: As `Recognizer` takes it.
        ilm_weight: As `Recognizer` takes it.
        engine: What computes the steps.

    Raises:
        AsrError: if a split has no utterance with a reference.
        ValueError: from the manifest or an audio file, naming it.
    """
    utterances = read_scored(manifest, splits)
    names = list(splits) if splits else sorted({u.split for u in utterances})
    if texts is not None and not texts.parent.is_dir():
        raise AsrError(f"{texts}: expected a file in a folder that is there, {texts.parent} is not")
    recognizer = Recognizer(
        model, chunk_ms, streams=batch, beam=beam, lm_weight=lm_weight, ilm_weight=ilm_weight, engine=engine
    )
    results: dict[str, Evaluation] = {}
    with Progress(console=Console(stderr=True), transient=True) as bars:
        for name in names:
            chosen = [u for u in utterances if u.split == name]
            bar = bars.add_task(name, total=len(chosen))

            def show(done: int, total: int, bar: TaskID = bar) -> None:
                bars.update(bar, completed=done, total=total)

            results[name] = evaluate(recognizer, chosen, show)
    if texts is not None:
        rows = [
            {"split": name, "id": i, "reference": r, "hypothesis": h}
            for name, result in results.items()
            for i, r, h in result.texts
        ]
        texts.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {name: result.summary() for name, result in results.items()}
