"""What the lower CTC head says of a text: its characters, or its phonemes by a list of pronunciations."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from asr.errors import AsrError, ConfigError
from asr.tokenizer import CHARACTERS, characters

BETWEEN_WORDS = " "  # the first symbol of either kind


class Spelling:
    """Texts as symbols of the lower CTC head: symbol 0 between words, the units of each word between them.

    Args:
        pronunciations: Phonemes of every word; None: a word's units are its characters.
    """

    def __init__(self, pronunciations: Mapping[str, Sequence[str]] | None = None) -> None:
        """Numbers the symbols."""
        self.pronunciations = pronunciations
        said = sorted({unit for units in (pronunciations or {}).values() for unit in units})
        self.symbols = tuple(CHARACTERS) if pronunciations is None else (BETWEEN_WORDS, *said)
        self._numbers = {symbol: i for i, symbol in enumerate(self.symbols)}

    def __len__(self) -> int:
        """Number of symbols, without CTC's blank."""
        return len(self.symbols)

    def word(self, word: str) -> list[int]:
        """Symbols of a word.

        Raises:
            AsrError: if it has no pronunciation, or a character that no normalised text has.
        """
        if self.pronunciations is None:
            return characters(word)
        if word not in self.pronunciations:
            raise AsrError(f"expected a pronunciation of every word, found none of {word!r}")
        return [self._numbers[unit] for unit in self.pronunciations[word]]

    def encode(self, text: str) -> list[int]:
        """Symbols of a normalised text; errors as of `word`."""
        symbols: list[int] = []
        for word in text.split():
            symbols += [0, *self.word(word)] if symbols else self.word(word)
        return symbols

    def written(self, symbols: Sequence[int]) -> str:
        """Symbols as words whose error rate can be counted: characters as text, phonemes apart, without word ends."""
        if self.pronunciations is None:
            return "".join(self.symbols[i] for i in symbols).strip()
        return " ".join(self.symbols[i] for i in symbols if i)

    def reference(self, text: str) -> str:
        """What `written` gives for a text that is recognised without error."""
        return self.written(self.encode(text))


def read_spelling(path: Path) -> Spelling:
    """Reads the pronunciations that `asr-data pronounce` writes.

    Raises:
        ConfigError: if the file is missing, or no JSON object of words' lists of phonemes.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"pronunciations: {path}: {error.strerror}") from error
    except ValueError as error:  # neither UTF-8 nor JSON
        raise ConfigError(f"pronunciations: {path}: expected JSON, got something else ({error})") from error
    good = isinstance(found, dict) and found
    if not good or not all(isinstance(units, list) and all(_is_phoneme(u) for u in units) for units in found.values()):
        raise ConfigError(f"pronunciations: {path}: expected an object of each word's list of phonemes, got another")
    return Spelling(found)


def _is_phoneme(unit: object) -> bool:
    return isinstance(unit, str) and unit.strip() == unit != ""
