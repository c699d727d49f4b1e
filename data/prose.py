"""Running text to sentences, for language models: split, normalised as transcripts are, without those of a test set."""

import importlib
import lzma
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.text import TextError, normalise

FEWEST_WORDS = 3  # of a sentence: headings and names are shorter


class ProseError(ValueError):
    """A text cannot be read, or has no sentences."""


@dataclass
class Found:
    """What a text had, in sentences.

    Attributes:
        kept: That were written.
        words: Of these.
        held_out: That a test set has, and were left out.
        strange: With letters that have no reading, left out.
        short: Of fewer words than asked for, left out.
    """

    kept: int = 0
    words: int = 0
    held_out: int = 0
    strange: int = 0
    short: int = 0


def write_sentences(
    texts: Sequence[Path], output: Path, held_out: Collection[str] = (), fewest_words: int = FEWEST_WORDS
) -> Found:
    """Writes the sentences of running texts, one a line; the file appears whole or not at all.

    Args:
        texts: UTF-8, a paragraph a line; .xz is read as it is.
        output: For the sentences; .xz is packed.
        held_out: Normalised transcripts. A sentence that is one of them is left out: a language model that has read a
            test set makes its scores worthless.
        fewest_words: Of a sentence.

    Raises:
        ProseError: if a text cannot be read, no sentence is left, or the package sentencex is missing.
        OSError: if the output cannot be written.
    """
    held, found = frozenset(held_out), Found()
    unfinished = output.with_name(f".{output.name}.unfinished")
    try:
        with lzma.open(unfinished, "wt") if output.suffix == ".xz" else unfinished.open("w", encoding="utf-8") as lines:
            for path in texts:
                for sentence in _sentences(path, found):
                    words = sentence.count(" ") + 1
                    if words < fewest_words:
                        found.short += 1
                    elif sentence in held:
                        found.held_out += 1
                    else:
                        found.kept, found.words = found.kept + 1, found.words + words
                        lines.write(sentence + "\n")
        if not found.kept:
            names = ", ".join(map(str, texts))
            raise ProseError(f"{names}: expected sentences of {fewest_words} words or more, found none")
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
    return found


def _sentences(path: Path, found: Found) -> Iterator[str]:
    """A text's sentences, normalised; none that is empty."""
    split = _splitter()
    try:
        with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                for sentence in split("en", line.strip()):
                    try:
                        normalised = normalise(sentence)
                    except TextError:
                        found.strange += 1
                        continue
                    if normalised:
                        yield normalised
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise ProseError(f"{path}: expected text in UTF-8, a paragraph a line: {error}") from error


def _splitter() -> Any:
    try:
        return importlib.import_module("sentencex").segment
    except ImportError as error:
        raise ProseError('sentencex is not installed: pip install "earshot[train]"') from error
