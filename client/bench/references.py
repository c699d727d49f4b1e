"""Recordings to measure with, and what is said in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from client.errors import AudioFileError

MANIFEST = "manifest.jsonl"


class _Line(msgspec.Struct):
    """What a manifest's line must have; it may have more."""

    audio: str
    text: str


@dataclass(frozen=True)
class Recording:
    """A file, and what is said in it.

    Attributes:
        path: The audio.
        reference: The text; None if it is not known.
    """

    path: Path
    reference: str | None


def recordings(paths: Iterable[Path]) -> list[Recording]:
    """The recordings that files and manifests name.

    Args:
        paths: Audio files, whose references are looked up in a `manifest.jsonl` beside them, and manifests
            (`.jsonl`), which stand for all their recordings.

    Raises:
        AudioFileError: if a manifest cannot be read.
    """
    found: list[Recording] = []
    known: dict[Path, dict[Path, str]] = {}
    for path in paths:
        if path.suffix == ".jsonl":
            found += [Recording(audio, text) for audio, text in _read(path).items()]
            continue
        manifest = path.parent / MANIFEST
        if manifest not in known:
            known[manifest] = _read(manifest) if manifest.is_file() else {}
        found.append(Recording(path, known[manifest].get(path)))
    return found


def _read(manifest: Path) -> dict[Path, str]:
    try:
        lines = manifest.read_bytes().splitlines()
    except OSError as error:
        raise AudioFileError(f"{manifest}: expected a manifest, got: {error.strerror}") from error
    texts: dict[Path, str] = {}
    for number, text in enumerate(lines, 1):
        try:
            line = msgspec.json.decode(text, type=_Line)
        except msgspec.DecodeError as error:
            raise AudioFileError(f"{manifest}:{number}: expected a recording: {error}") from error
        texts[manifest.parent / line.audio] = line.text
    return texts
