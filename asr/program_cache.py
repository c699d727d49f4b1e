"""Compiled programs kept on disk, so that a process need not compile what one before it has compiled.

TensorFlow can keep XLA's machine code: a file per program, named by a hash of the program, so that another model size,
chunk, batch or version of our code is another file. What that name does not cover is in the name of the folder:
TensorFlow's version and the processor. TensorFlow believes what it reads there, so every file gets a seal, its SHA-256
in a file beside it, and what has no seal or another one is removed before TensorFlow looks. Each process writes and
removes whole files only; two that start together compile the same program twice, at worst.

`EARSHOT_CACHE` names another folder, or is "off".
"""

import hashlib
import importlib.metadata
import logging
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

VARIABLE = "EARSHOT_CACHE"
OFF = "off"
LARGEST_BYTES = 512 * 2**20  # of all programs of one TensorFlow on one processor; the oldest go first
ENTRIES, SEAL = "*.pb", ".sha256"
FLAG = "--tf_xla_persistent_cache_"

logger = logging.getLogger(__name__)


class ProgramCache:
    """The folder of this machine's programs.

    Args:
        folder: Made if it is missing.
        entries: Names of the programs, a pattern.
        largest_bytes: Of all programs; the oldest go first.

    Raises:
        OSError: if it cannot be made, or others than its owner could write into it.
    """

    def __init__(self, folder: Path, entries: str = ENTRIES, largest_bytes: int = LARGEST_BYTES) -> None:
        """Makes the folder and removes what cannot be trusted in it."""
        self._entries, self._largest_bytes = entries, largest_bytes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
        if os.name == "posix" and (about.st_uid != os.geteuid() or about.st_mode & 0o022):
            raise PermissionError(1, "expected a folder that only this user can write to", str(folder))
        self.folder = folder
        self.writable = os.access(folder, os.W_OK)
        if self.writable:
            self._remove_untrusted()

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
                    temporary = seal.with_name(f".{seal.name}.{os.getpid()}.tmp")
                    temporary.write_text(_digest(entry), encoding="ascii")
                    temporary.replace(seal)
            except OSError as error:
                logger.warning("a compiled program is not kept: %s", error)

    def _remove_untrusted(self) -> None:
        """Removes entries without a seal or unlike it, and the oldest of too many."""
        total = 0
        for entry in sorted(self.folder.glob(self._entries), key=_written, reverse=True):
            try:
                total += entry.stat().st_size
                trusted = total <= self._largest_bytes and _seal_of(entry).read_text(encoding="ascii") == _digest(entry)
            except (OSError, UnicodeDecodeError):
                trusted = False
            if not trusted:
                _seal_of(entry).unlink(missing_ok=True)
                entry.unlink(missing_ok=True)


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
    return Path(chosen).expanduser().absolute() / "programs" / f"tensorflow-{version}-{processor()}"


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


def _seal_of(entry: Path) -> Path:
    return entry.with_name(entry.name + SEAL)


def _digest(entry: Path) -> str:
    with entry.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written(entry: Path) -> float:
    """When; what is gone meanwhile counts as old."""
    try:
        return entry.stat().st_mtime
    except OSError:
        return 0.0
