"""The cells of a report: which split, chunk, decoder and condition; and the folder that keeps each as it is done."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.cache import stamp
from data.manifest import Utterance

CLEAN = ""
JOINED = "joined to 10 minutes"
WORDS = "times and confidences of words"


@dataclass(frozen=True)
class Cell:
    """One figure of the report, or one group of them.

    Attributes:
        split: Split of the manifest.
        chunk_ms: Audio per step.
        beam: Hypotheses; 1: greedy.
        condition: What was done to the audio; `CLEAN`: nothing.
    """

    split: str
    chunk_ms: int
    beam: int
    condition: str = CLEAN


def plan(
    splits: Sequence[str], chunks: Sequence[int], beams: Sequence[int], conditions: Sequence[str], chunk_ms: int
) -> Iterator[Cell]:
    """All cells, those of one recogniser together.

    Args:
        splits: The conditions are measured on the first.
        chunks: Chunk sizes.
        beams: Hypotheses of each decoder.
        conditions: Names, `CLEAN` left out.
        chunk_ms: Chunk size of the conditions, one of `chunks`.
    """
    for chunk in chunks:
        for beam in beams:
            for split in splits:
                yield Cell(split, chunk, beam)
            if chunk == chunk_ms:
                for condition in conditions:
                    yield Cell(splits[0], chunk, beam, condition)


class Finished:
    """Results on disk, one file each: an interrupted report goes on where it stopped.

    Args:
        folder: Made if missing.
        subject: What was evaluated; a result of another subject is not found.
    """

    def __init__(self, folder: Path, subject: str) -> None:
        """Makes the folder."""
        self._folder, self._subject = folder, subject
        folder.mkdir(parents=True, exist_ok=True)

    def get(self, cell: Cell) -> dict[str, Any] | None:
        """The result of a cell, if it is there."""
        try:
            stored = json.loads(self._path(cell).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # not there, or not whole
            return None
        matches = stored.get("subject") == self._subject and stored.get("cell") == dataclasses.asdict(cell)
        return stored["result"] if matches else None

    def put(self, cell: Cell, result: dict[str, Any]) -> None:
        """Keeps a result; the file appears whole or not at all."""
        content = {"subject": self._subject, "cell": dataclasses.asdict(cell), "result": result}
        path = self._path(cell)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.replace(path)

    def _path(self, cell: Cell) -> Path:
        parts = [cell.split, str(cell.chunk_ms), f"beam{cell.beam}", *([cell.condition] if cell.condition else [])]
        name = "-".join("".join(c if c.isalnum() or c == "." else "_" for c in part) for part in parts)
        return self._folder / f"{name}.json"


def subject_of(model: Path, utterances: Sequence[Utterance], noises: Sequence[Path], settings: Sequence[Any]) -> str:
    """A fingerprint of a model folder's files, of what is recognised, of recordings of noise and of further settings.

    Of recordings it has size and time of the last change, not what is in them: a corpus is too much to read each time.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in model.iterdir() if p.is_file() and p.suffix in (".npz", ".json", ".model")):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    for utterance in utterances:
        said = utterance.id, utterance.speaker, utterance.text
        digest.update(repr((*said, _stamp(Path(utterance.audio)))).encode())
    for path in noises:
        digest.update(repr((path.name, _stamp(path))).encode())
    digest.update(repr(list(settings)).encode())
    return digest.hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        return stamp(path)
    except OSError:  # whoever opens it says so
        return None
