"""Sentences that nobody spoke, for the internal language model's loss: step by step, a function of seed and step."""

import logging
import lzma
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ConfigError
from asr.tokenizer import Tokenizer
from data.text import TextError, normalise

log = logging.getLogger(__name__)

Labels = NDArray[np.int32]


def sentences(path: Path) -> Iterator[str]:
    """Sentences of a text file, .txt or .txt.xz, a line each, normalised as transcripts are.

    Lines without words are left out, and, with a warning, those with letters that have no reading.

    Raises:
        ConfigError: if it cannot be read.
    """
    strange: list[str] = []
    try:
        with lzma.open(path, "rt", encoding="utf-8") if path.suffix == ".xz" else path.open(encoding="utf-8") as lines:
            for line in lines:
                try:
                    sentence = normalise(line.strip())
                except TextError:
                    strange.append(line.strip())
                    continue
                if sentence:
                    yield sentence
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected text in UTF-8, a sentence a line: {error}") from error
    if strange:
        log.warning("%s: left out %d lines with letters that have no reading: %.80r", path, len(strange), strange[0])


class TextBatches:
    """Batches of sentences as wordpieces, in another random order each time through.

    Args:
        texts: Normalised sentences.
        tokenizer: Wordpieces.
        labels: Wordpieces of a row; the rest of a longer sentence is left out.
        seed: Of the order.

    Raises:
        ConfigError: if there is no sentence.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, labels: int, seed: int) -> None:
        """Encodes every sentence; a byte or two for each wordpiece are kept."""
        kind = np.uint8 if len(tokenizer) <= 256 else np.uint16
        encoded = [np.array(tokenizer.encode(text)[:labels], kind) for text in texts]
        encoded = [row for row in encoded if len(row)]
        if not encoded:
            raise ConfigError("texts: expected sentences for the text loss, got none")
        self._ends = np.cumsum([len(row) for row in encoded])
        self._flat = np.concatenate(encoded)
        self._labels, self._seed = labels, seed
        self._order: tuple[int, Any] = (-1, None)

    def at(self, step: int, rows: int) -> dict[str, Labels]:
        """The batch of a step.

        Args:
            step: From 0.
            rows: Sentences; where there are not as many, some come twice.

        Returns:
            text [rows, labels] and text_lengths [rows].
        """
        count = len(self._ends)
        text, lengths = np.zeros((rows, self._labels), np.int32), np.zeros(rows, np.int32)
        for row in range(rows):
            epoch, index = divmod(step * rows + row, count)
            sentence = self._shuffled(epoch)[index]
            start = self._ends[sentence - 1] if sentence else 0
            found = self._flat[start : self._ends[sentence]]
            text[row, : len(found)], lengths[row] = found, len(found)
        return {"text": text, "text_lengths": lengths}

    def _shuffled(self, epoch: int) -> Any:
        """Order of the sentences in a time through; the latest is kept."""
        order = self._order  # several threads prepare batches
        if order[0] != epoch:
            order = epoch, np.random.default_rng((self._seed, epoch)).permutation(len(self._ends))
            self._order = order
        return order[1]
