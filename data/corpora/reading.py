"""What every corpus reader shares: its errors, and making an utterance of a file and its transcript."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from data.audio import AudioError, audio_seconds
from data.manifest import Utterance
from data.text import TextError, normalise

AUDIO_SUFFIXES = frozenset({".aac", ".flac", ".m4a", ".mp3", ".mp4", ".oga", ".ogg", ".opus", ".wav", ".webm"})


class CorpusError(ValueError):
    """A folder is not laid out as its corpus is, or a file in it is broken."""


Skip = Callable[[str], None]


def refuse(reason: str) -> None:
    """The strict way to treat an utterance that cannot be used: ends the reading with `CorpusError`."""
    raise CorpusError(reason)


class Reader(Protocol):
    """Reads one corpus.

    Args:
        folder: Where the corpus lies.
        splits: For a corpus in parts, which to read (none: all that are there). For one without, the single
            name to give to all of it (none: "train").
        skip: Called with the reason for each utterance that cannot be used: without audio, or with a text
            that cannot be normalised or has no words.

    Yields:
        Utterances in a fixed order.

    Raises:
        CorpusError: if the folder has another layout, naming what was expected.
    """

    def __call__(self, folder: Path, splits: Sequence[str] = (), skip: Skip = refuse) -> Iterator[Utterance]:
        """Reads it."""


def make_utterance(
    where: str, *, id: str, audio: Path, speaker: str, raw: str, split: str, skip: Skip
) -> Utterance | None:
    """Makes an utterance, with its length from the audio file, or says why not.

    Args:
        where: File and line of the transcript, for what is said to `skip`.
        id: As of `Utterance`.
        audio: As of `Utterance`.
        speaker: As of `Utterance`.
        raw: The transcript as the corpus has it.
        split: As of `Utterance`.
        skip: Told if there can be no utterance.

    Returns:
        The utterance, or None after `skip` was called.
    """
    try:
        text = normalise(raw)
        if not text:
            raise TextError(f"expected a transcript with words, got {raw!r}")
        seconds = audio_seconds(audio)
    except (TextError, AudioError) as error:
        skip(f"{where}: {error}")
        return None
    return Utterance(id, str(audio), round(seconds, 3), speaker, text, split, raw=raw)


def require_folder(folder: Path) -> None:
    """Raises `CorpusError` if there is no such folder."""
    if not folder.is_dir():
        got = "a file" if folder.exists() else "nothing there"
        raise CorpusError(f"{folder}: expected a folder, got {got}")


def numbered_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Lines of a UTF-8 text file that are not blank, each with its "file:line".

    Raises:
        CorpusError: if it cannot be read or is not UTF-8.
    """
    try:
        # Split at line feeds only: transcripts may hold other characters that Python takes for the end of a
        # line.
        lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except OSError as error:
        raise CorpusError(f"{path}: cannot read it: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: expected UTF-8, got byte 0x{error.object[error.start]:02x}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield f"{path}:{number}", line.rstrip("\r")


def single_split(splits: Sequence[str], corpus: str) -> str:
    """The split's name for a corpus that is one piece.

    Raises:
        CorpusError: if more than one is asked for.
    """
    if len(splits) > 1:
        raise CorpusError(f"{corpus} has no parts: expected one split's name, got {', '.join(splits)}")
    return splits[0] if splits else "train"


def chosen_parts(found: Sequence[str], splits: Sequence[str], folder: Path) -> list[str]:
    """The parts that are asked for, or all.

    Raises:
        CorpusError: if one that is asked for is not there.
    """
    for split in splits:
        if split not in found:
            raise CorpusError(f"{folder}: expected the part {split!r}, found {', '.join(found)}")
    return [part for part in found if not splits or part in splits]
