"""Results on disk: written whole or not at all, and not written again when they are there."""

import json
import os
from pathlib import Path
from typing import Any

from asr.errors import AsrError

STATE_FILE = ".earshot.jsonl"  # in the output folder: what each result was made from, and how


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file that appears whole or not at all, also when the process is killed or the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class ResultFolder:
    """A folder of results, one file for each source.

    A result counts as done while it exists and its source's path, size and modification time and the settings are
    those it was made with. A journal beside the results holds them, one JSON line for each event, the last one of a
    result counting: an older mark is revoked before its result is replaced, and the new one written after. Killed at
    any moment, a result without a valid mark is made again; none made otherwise is taken for done. A result edited by
    hand stays done.

    Comparing times alone would take a copy with its old time, or a result of other settings, for done; a mark inside
    the result is not possible in plain text.

    Args:
        folder: Made if missing.
        extension: Of the results, without a dot.
        settings: Everything but the source that a result depends on; JSON-able.
    """

    def __init__(self, folder: Path, extension: str, settings: dict[str, Any]) -> None:
        """Reads what was done before."""
        if folder.exists() and not folder.is_dir():
            raise AsrError(f"{folder}: expected a folder for the results, got a file")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.extension = folder, extension
        self._settings = json.loads(json.dumps(settings))
        self._done = _read_journal(folder / STATE_FILE)
        self._seen: dict[Path, dict[str, Any]] = {}

    def path_of(self, source: Path) -> Path:
        """Where a source's result goes: its name with the extension added, so that a.wav and a.mp3 do not meet."""
        return self.folder / f"{source.name}.{self.extension}"

    def check_names(self, sources: list[Path]) -> None:
        """Raises AsrError if two sources in different folders have the same name."""
        seen: dict[Path, Path] = {}
        for source in sources:
            other = seen.setdefault(self.path_of(source), source)
            if other.resolve() != source.resolve():
                raise AsrError(f"{other} and {source} would both be written to {self.path_of(source)}")

    def done(self, source: Path) -> bool:
        """Whether the source's result is there, made from this very file with these settings.

        To be asked before the source is read: the answer's view of the source is what `write` records, so that a
        source which changes in between is not taken for done.
        """
        if not source.is_file():
            return False
        mark = self._seen[source] = self._mark(source)
        path = self.path_of(source)
        return path.is_file() and self._done.get(path.name) == mark

    def write(self, source: Path, text: str) -> Path:
        """Writes a source's result and remembers how it was made."""
        path = self.path_of(source)
        mark = self._seen.get(source) or self._mark(source)
        if path.name in self._done or path.exists():
            self._record(path.name, None)
        write_atomically(path, text)
        self._record(path.name, mark)
        return path

    def _mark(self, source: Path) -> dict[str, Any]:
        status = source.stat()
        place = {"source": str(source.resolve()), "size": status.st_size, "modified_ns": status.st_mtime_ns}
        return {**place, "settings": self._settings}

    def _record(self, name: str, mark: dict[str, Any] | None) -> None:
        """Appends a mark, or with None its revocation."""
        # The line feed first ends a line that a killed run left unfinished.
        line = "\n" + json.dumps({"result": name, "mark": mark}) + "\n"
        with (self.folder / STATE_FILE).open("a", encoding="utf-8", newline="\n") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if mark is None:
            self._done.pop(name, None)
        else:
            self._done[name] = mark


def _read_journal(path: Path) -> dict[str, Any]:
    """Marks by result; a line that cannot be read says nothing, so that its result is made again."""
    marks: dict[str, Any] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return marks
    for line in lines:
        try:
            event = json.loads(line)
            name, mark = event["result"], event["mark"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(name, str):
            marks[name] = mark
    return {name: mark for name, mark in marks.items() if mark is not None}
