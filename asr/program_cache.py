"""Compiled programs kept on disk, so that a process need not compile what one before it has compiled.

TensorFlow can keep XLA's machine code: a file per program, named by a hash of the program, so that another model size,
chunk, batch or version of our code is another file. What that name does not cover is in the name of the folder:
TensorFlow's version, the processor and XLA's flags. TensorFlow believes what it reads there, so every file gets a seal,
its SHA-256 in a file beside it, and what has no seal or another one is removed before TensorFlow looks. What we read
ourselves is verified when it is read, so that a start pays only for what it uses. Each process writes and removes whole
files only; two that start together compile the same program twice, at worst.

`EARSHOT_CACHE` names another folder, or is "off".
"""

import hashlib
import importlib.metadata
import logging
import os
import platform
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Self

import asr

VARIABLE = "EARSHOT_CACHE"
OFF = "off"
LARGEST_BYTES = 512 * 2**20  # of all programs of one TensorFlow on one processor; the oldest go first
ENTRIES, SEAL = "*.pb", ".sha256"
FLAG = "--tf_xla_persistent_cache_"

logger = logging.getLogger(__name__)


class SealedFolder:
    """A folder of this user's alone, in which every file has a seal.

    Args:
        folder: Made if it is missing.
        entries: Names of the files, a pattern.
        largest_bytes: Of all files; the oldest go first.

    Raises:
        OSError: if it cannot be made, or others than its owner could write into it.
    """

    def __init__(self, folder: Path, entries: str, largest_bytes: int) -> None:
        """Makes the folder and removes the oldest of too many files."""
        self._entries, self._largest_bytes = entries, largest_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
        if os.name == "posix" and (about.st_uid != os.geteuid() or about.st_mode & 0o022):
            raise PermissionError(1, "expected a folder that only this user can write to", str(folder))
        self.folder = folder
        self.writable = os.access(folder, os.W_OK)
        if self.writable:
            self._prune()

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is none that its seal vouches for."""
        try:
            content = (self.folder / name).read_bytes()
            sealed = _seal_of(self.folder / name).read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            return None
        return content if hashlib.sha256(content).hexdigest() == sealed else None

    def keep(self, name: str, content: bytes) -> None:
        """Writes a file and then its seal, each whole or not at all.

        Raises:
            OSError: if it cannot.
        """
        _replace(self.folder / name, content)
        _replace(_seal_of(self.folder / name), hashlib.sha256(content).hexdigest().encode("ascii"))

    def _prune(self) -> None:
        """Removes the oldest files of too many."""
        total = 0
        for entry in sorted(self.folder.glob(self._entries), key=_written, reverse=True):
            total += _size(entry)
            if total > self._largest_bytes or not self._trusted(entry):
                _seal_of(entry).unlink(missing_ok=True)
                entry.unlink(missing_ok=True)

    def _trusted(self, entry: Path) -> bool:
        """Whether an entry may stay: here all, for `read` looks at the seal."""
        return True


class ProgramCache(SealedFolder):
    """The folder of this machine's programs, in which TensorFlow reads and writes.

    Args:
        folder: As of `SealedFolder`, and so are its errors.
        largest_bytes: Of all programs; the oldest go first.
    """

    def __init__(self, folder: Path, largest_bytes: int = LARGEST_BYTES) -> None:
        """Makes the folder and removes what cannot be trusted in it."""
        super().__init__(folder, ENTRIES, largest_bytes)

    @classmethod
    def enable(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Has TensorFlow keep its programs; to be called before it is imported, which is when it reads its settings.

        Args:
            environment: Where the settings are.

        Returns:
            The cache; None if it is switched off or cannot be used, which is never an error.
        """
        folder = cache_folder(environment)
        flags = environment.get("TF_XLA_FLAGS", "")
        if folder is None or "tensorflow" in sys.modules or FLAG in flags:
            return None
        if any(character.isspace() for character in str(folder)):  # which separates flags
            logger.warning("programs are not kept: expected a folder without spaces, got %s", folder)
            return None
        try:
            cache = cls(folder)
        except OSError as error:
            logger.warning("programs are not kept: %s", error)
            return None
        own = f"{FLAG}directory={folder} {FLAG}device_types=CPU"
        os.environ["TF_XLA_FLAGS"] = f"{flags} {own}{'' if cache.writable else f' {FLAG}read_only=true'}".strip()
        return cache

    def seal(self) -> None:
        """Vouches for the programs that were added since; failing to is harmless."""
        if not self.writable:
            return
        for entry in self.folder.glob(self._entries):
            seal = _seal_of(entry)
            try:
                if not seal.exists():
                    _replace(seal, _digest(entry).encode("ascii"))
            except OSError as error:
                logger.warning("a compiled program is not kept: %s", error)

    def _trusted(self, entry: Path) -> bool:
        """Whether an entry has its seal: TensorFlow asks nobody."""
        try:
            return _seal_of(entry).read_text(encoding="ascii") == _digest(entry)
        except (OSError, UnicodeDecodeError):
            return False


def cache_folder(environment: Mapping[str, str]) -> Path | None:
    """Where programs of this TensorFlow on this processor are kept; None: nowhere."""
    chosen = environment.get(VARIABLE, "")
    if chosen == OFF or environment.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        return None
    try:
        if not chosen:
            from platformdirs import user_cache_dir

            chosen = user_cache_dir("earshot", appauthor=False)
        version = tensorflow_version()
    except (ImportError, RuntimeError):  # there is no TensorFlow, or no home folder
        return None
    flags = environment.get("XLA_FLAGS", "")
    told = f"-{hashlib.sha256(flags.encode()).hexdigest()[:8]}" if flags else ""
    return Path(chosen).expanduser().absolute() / "programs" / f"tensorflow-{version}-{processor()}{told}"


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """A name for the processor's model and abilities: code for one may be nonsense for another."""
    try:
        first = cpuinfo.read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
    except OSError:  # not Linux
        first = [platform.processor()]
    kept = [line for line in first if line.startswith(("model", "vendor", "flags", "Features", "CPU", "stepping"))]
    return f"{platform.machine()}-{hashlib.sha256(chr(10).join(kept or first).encode()).hexdigest()[:16]}"


def tensorflow_version() -> str:
    """Without importing it.

    Raises:
        ImportError: there is none.
    """
    for name in ("tensorflow", "tensorflow-cpu"):
        try:
            return f"{name}-{importlib.metadata.version(name)}".removeprefix("tensorflow-")
        except importlib.metadata.PackageNotFoundError:
            continue
    raise ImportError("expected TensorFlow to be installed", name="tensorflow")


@cache
def code_digest() -> str:
    """A name for our code and for what turns it into programs.

    Raises:
        ImportError: there is no TensorFlow.
    """
    digest = hashlib.sha256(f"{tensorflow_version()} {importlib.metadata.version('keras')}".encode())
    for path in sorted(Path(asr.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _seal_of(entry: Path) -> Path:
    return entry.with_name(entry.name + SEAL)


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def _size(entry: Path) -> int:
    try:
        return entry.stat().st_size
    except OSError:  # gone meanwhile
        return 0


def _digest(entry: Path) -> str:
    with entry.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(entry: Path) -> float:
    """When; what is gone meanwhile counts as old."""
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0
