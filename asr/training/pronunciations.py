"""What the phoneme head says of a text, by a list of pronunciations."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asr.errors import AsrError, ConfigError

EXPECTED = "an object of each word's list of phonemes, or of several such lists"


class Pronunciations:
    """Texts as phonemes: those of each word, with nothing between words.

    Args:
        words: Pronunciations of every word; the first is what a transcript's word is taken to sound like.

    Attributes:
        symbols: The phonemes of all pronunciations, in the order in which the head numbers them.
    """

    def __init__(self, words: Mapping[str, Sequence[Sequence[str]]]) -> None:
        """Numbers the phonemes."""
        self.symbols = sorted({phoneme for said in words.values() for phonemes in said for phoneme in phonemes})
        numbers = {symbol: i for i, symbol in enumerate(self.symbols)}
        self._first = {word: [numbers[phoneme] for phoneme in said[0]] for word, said in words.items()}

    def __len__(self) -> int:
        """P, phonemes without CTC's blank."""
        return len(self.symbols)

    def encode(self, text: str) -> list[int]:
        """Phonemes of a normalised text.

        Raises:
            AsrError: if a word has no pronunciation.
        """
        found: list[int] = []
        for word in text.split():
            if word not in self._first:
                raise AsrError(f"expected a pronunciation of every word, found none of {word!r}")
            found += self._first[word]
        return found

    def written(self, phonemes: Sequence[int]) -> str:
        """Phonemes as words, so that their error rate can be counted."""
        return " ".join(self.symbols[i] for i in phonemes)

    def reference(self, text: str) -> str:
        """What `written` gives for a text that is recognised without error."""
        return self.written(self.encode(text))


def read_pronunciations(path: Path) -> Pronunciations:
    """Reads the pronunciations that `asr-data pronounce` writes; raises as `read_words_said`."""
    return Pronunciations(read_words_said(path))


def read_words_said(path: Path) -> dict[str, list[list[str]]]:
    """Pronunciations of each word.

    Raises:
        ConfigError: if the file is missing, or no JSON object of words' pronunciations: each a list of phonemes, or a
            list of several such lists.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"pronunciations: {path}: {error.strerror}") from error
    except ValueError as error:  # neither UTF-8 nor JSON
        raise ConfigError(f"pronunciations: {path}: expected JSON, got something else ({error})") from error
    words: dict[str, Any] = {word: _several(said) for word, said in found.items()} if isinstance(found, dict) else {}
    if not words or not all(said and all(map(_is_pronunciation, said)) for said in words.values()):
        raise ConfigError(f"pronunciations: {path}: expected {EXPECTED}, got another")
    return words


def _several(said: object) -> list[Any]:
    """A word's pronunciations, where there may be one alone."""
    if not isinstance(said, list):
        return []
    return said if all(isinstance(one, list) for one in said) else [said]


def _is_pronunciation(said: object) -> bool:
    return isinstance(said, list) and bool(said) and all(isinstance(p, str) and p.strip() == p != "" for p in said)
