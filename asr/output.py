"""Results on disk: written whole or not at all, and not written again when they are there."""

import json
import os
from pathlib import Path
from typing import Any

from asr.errors import AsrError

STATE_FILE = ".earshot.json"  # in the output folder: which settings each result was made with


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file that appears whole or not at all, also when the process is killed or the disk is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class ResultFolder:
    """A folder of results, one file for each source.

    A result counts as done while it exists and its source's path, size and modification time and the settings are
    those it was made with; they stand in one small file beside the results.

    Args:
        folder: Made if missing.
        extension: Of the results, without a dot.
        settings: Everything but the source that a result depends on.
    """

    def __init__(self, folder: Path, extension: str, settings: dict[str, Any]) -> None:
        """Reads what was done before."""
        self.folder, self.extension = folder, extension
        self._settings = json.loads(json.dumps(settings))
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._done: dict[str, Any] = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._done = {}
        except ValueError as error:
            raise AsrError(f"{folder / STATE_FILE}: expected JSON: {error}; delete it to start over") from error

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

    def _mark(self, source: Path) -> dict[str, Any]:
        status = source.stat()
        place = {"source": str(source.resolve()), "size": status.st_size, "modified_ns": status.st_mtime_ns}
        return {**place, "settings": self._settings}

    def done(self, source: Path) -> bool:
        """Whether the source's result is there, made from this very file with these settings."""
        path = self.path_of(source)
        return path.is_file() and source.is_file() and self._done.get(path.name) == self._mark(source)

    def write(self, source: Path, text: str) -> Path:
        """Writes a source's result and remembers how it was made."""
        path = self.path_of(source)
        write_atomically(path, text)
        self._done[path.name] = self._mark(source)
        write_atomically(self.folder / STATE_FILE, json.dumps(self._done, indent=1) + "\n")
        return path
