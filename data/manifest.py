"""Manifests: one utterance a line, as JSON, with audio paths relative to the manifest's folder."""

import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class ManifestError(ValueError):
    """A manifest is broken; the message starts with `file:line:`."""


@dataclass(frozen=True)
class Utterance:
    """One recording of one speaker.

    Attributes:
        id: Unique in its manifest.
        audio: Path of the audio file: in memory one that can be opened, in a manifest relative to its folder.
        seconds: Length of the audio.
        speaker: Who speaks; unique over all corpora that are used together.
        text: Normalised transcript (see `data.text`); empty if nothing is said, None if not transcribed.
        split: Part of the corpus, such as "train" or "dev".
        raw: The transcript as the corpus has it, with case and punctuation.
        age: Of the speaker, in years.
    """

    id: str
    audio: str
    seconds: float
    speaker: str
    text: str | None
    split: str
    raw: str | None = None
    age: int | None = None

    def __post_init__(self) -> None:
        """Checks types and ranges."""
        for name in ("id", "audio", "speaker", "split"):
            if not isinstance(value := getattr(self, name), str) or not value:
                raise ValueError(f"{name}: expected a text that is not empty, got {value!r}")
        for name in ("text", "raw"):
            if not isinstance(value := getattr(self, name), str | None):
                raise ValueError(f"{name}: expected a text or null, got {value!r}")
        if isinstance(self.seconds, bool) or not isinstance(self.seconds, int | float):
            raise ValueError(f"seconds: expected a number, got {self.seconds!r}")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise ValueError(f"seconds: expected a finite number above 0, got {self.seconds!r}")
        if self.age is not None and (type(self.age) is not int or self.age < 0):
            raise ValueError(f"age: expected years as a whole number or null, got {self.age!r}")

    @property
    def transcript(self) -> str:
        """The text of an utterance that must have one.

        Raises:
            ValueError: if the utterance is not transcribed, naming it.
        """
        if self.text is None:
            raise ValueError(f"utterance {self.id!r}: expected a transcript, got none (text is null)")
        return self.text


_FIELDS = dataclasses.fields(Utterance)
_KNOWN = {f.name for f in _FIELDS}
_REQUIRED = [f.name for f in _FIELDS if f.default is dataclasses.MISSING]


def read_manifest(
    path: str | os.PathLike[str], splits: Collection[str] | None = None, check_audio: bool = True
) -> list[Utterance]:
    """Reads and checks a manifest.

    Args:
        path: Of the JSONL file.
        splits: Which splits to return; None: all. Every line is checked all the same.
        check_audio: Whether an audio file that is missing (of these splits) is an error.

    Returns:
        The utterances in the manifest's order, with audio paths that can be opened.

    Raises:
        ManifestError: naming file and line, for the first line that is broken.
    """
    utterances = []
    for _, found in scan_manifest(path, splits, check_audio):
        if isinstance(found, ManifestError):
            raise found
        utterances.append(found)
    return utterances


def scan_manifest(
    path: str | os.PathLike[str], splits: Collection[str] | None = None, check_audio: bool = True
) -> Iterator[tuple[int, Utterance | ManifestError]]:
    """Reads a manifest to its end, whatever its lines hold; arguments as of `read_manifest`.

    Yields:
        Line number from 1, and the utterance or what is wrong with the line.

    Raises:
        ManifestError: if the file cannot be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            yield from scan_lines(file, str(path), splits, os.path.isfile if check_audio else None)
    except OSError as error:
        raise ManifestError(f"{path}: cannot read the manifest: {error.strerror}") from error


def scan_lines(
    lines: Iterable[bytes], path: str, splits: Collection[str] | None, exists: Callable[[str], bool] | None
) -> Iterator[tuple[int, Utterance | ManifestError]]:
    """Reads a manifest's lines, wherever they come from.

    Args:
        lines: UTF-8, in order.
        path: Of the manifest, or its URL: named in errors, and audio is relative to its folder.
        splits: Which splits to yield; None: all.
        exists: Says whether an audio file is there; None: not asked.

    Yields:
        As `scan_manifest`.
    """
    if isinstance(splits, str):
        raise TypeError(f"splits: expected a collection of names, got the text {splits!r}")
    wanted = None if splits is None else frozenset(splits)
    folder = os.path.dirname(path)
    first_lines: dict[str, int] = {}  # id -> line
    for number, line in enumerate(lines, start=1):
        try:
            utterance = _parse(line, folder)
            first = first_lines.setdefault(utterance.id, number)
            if first != number:
                raise ValueError(f"id {utterance.id!r} is already in line {first}")
            if wanted is not None and utterance.split not in wanted:
                continue
            if exists is not None and not exists(utterance.audio):
                raise ValueError(f"audio: no such file: {utterance.audio}")
        except ValueError as error:
            yield number, ManifestError(f"{path}:{number}: {error}")
        else:
            yield number, utterance


def _parse(line: bytes, folder: str) -> Utterance:
    try:
        text = line.decode("utf-8").rstrip("\r\n")
        record = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_no_repeated_key)
    except UnicodeDecodeError as error:
        got = f"byte 0x{line[error.start]:02x} at column {error.start + 1}"
        raise ValueError(f"expected UTF-8, got {got}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"expected a JSON object: {error.msg} at column {error.colno}") from error
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, got {record!r:.80}")
    for name in _REQUIRED:
        if name not in record:
            raise ValueError(f"missing key {name!r}")
    for name in record:
        if name not in _KNOWN:
            raise ValueError(f"unknown key {name!r}; known: {', '.join(f.name for f in _FIELDS)}")
    utterance = Utterance(**record)
    # A URL or an absolute path stays as it is: os.path.join drops what stands before the latter.
    audio = utterance.audio if "://" in utterance.audio else os.path.join(folder, utterance.audio)
    return dataclasses.replace(utterance, audio=audio, seconds=float(utterance.seconds))


def _no_constant(name: str) -> float:
    raise ValueError(f"expected finite numbers, got {name}")


def _no_repeated_key(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {repeated!r} stands twice")
    return record


def write_manifest(path: str | os.PathLike[str], utterances: Iterable[Utterance]) -> int:
    """Writes a manifest, whole or not at all.

    Audio below the manifest's folder is named relative to it, so that both can move; other audio absolutely.

    Args:
        path: Of the JSONL file; its folder is made if missing.
        utterances: In the order they are to stand in; may be a generator.

    Returns:
        Number of utterances written.

    Raises:
        ValueError: if an id repeats. As after any error, the file that was there before stays as it was.
    """
    path = Path(path).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            count = _write_lines(file, utterances, path.parent)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    return count


def _write_lines(file: Any, utterances: Iterable[Utterance], folder: Path) -> int:
    ids: set[str] = set()
    for utterance in utterances:
        if utterance.id in ids:
            raise ValueError(f"expected ids that differ, got {utterance.id!r} twice")
        ids.add(utterance.id)
        record = dataclasses.asdict(utterance)
        record["audio"] = _relative(utterance.audio, folder)
        record = {name: value for name, value in record.items() if value is not None or name in _REQUIRED}
        file.write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    return len(ids)


def _relative(audio: str, folder: Path) -> str:
    if "://" in audio:
        return audio
    absolute = os.path.normpath(os.path.abspath(audio))
    root = os.path.join(os.path.normpath(folder), "")
    return absolute[len(root) :] if absolute.startswith(root) else absolute


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
