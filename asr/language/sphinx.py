"""Language models in the binary trie format of CMU Sphinx (`.lm.bin`), which its own tools cannot write as ARPA."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.language.imported import Level, is_word, model_of, read_arpa
from asr.language.ngrams import NgramModel

HEADER = b"Trie Language Model"
_LN_BASE = float(np.log(1.0001))  # of its logarithms
_BINS = 1 << 16  # of its tables of probabilities and backoffs
_PADDING = 8  # bytes behind each array of bits

Ints = NDArray[np.int64]


class _Reader:
    """Fields of the file one after the other; IndexError where it ends too soon."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def bytes(self, size: int) -> bytes:
        found = self._content[self._place : self._place + size]
        if len(found) < size:
            raise IndexError(size)
        self._place += size
        return found

    def numbers(self, kind: str, count: int) -> NDArray[Any]:
        return np.frombuffer(self.bytes(np.dtype(kind).itemsize * count), kind)


def _bit_fields(reader: _Reader, rows: int, widths: list[int]) -> list[Ints]:
    """Columns of rows of fields of so many bits, the lowest bit first."""
    padded = reader.numbers("u1", (rows * sum(widths) + 7) // 8 + _PADDING)
    first, total = np.arange(rows, dtype=np.int64) * sum(widths), 0
    found = []
    for width in widths:
        bit = first + total
        value = np.zeros(rows, np.uint64)
        for byte in range(5):
            value |= padded[(bit >> 3) + byte].astype(np.uint64) << np.uint64(8 * byte)
        mask = np.uint64((1 << width) - 1)
        found.append(((value >> (bit & 7).astype(np.uint64)) & mask).astype(np.int64))
        total += width
    return found


def read_ngrams(path: Path) -> NgramModel:
    """Reads a model of others, in this format or as an ARPA file.

    Raises:
        AsrError: if it cannot be read or is neither.
    """
    return read(path) if is_sphinx(path) else read_arpa(path)


def is_sphinx(path: Path) -> bool:
    """Whether a file begins as these do."""
    try:
        with path.open("rb") as file:
            return file.read(len(HEADER)) == HEADER
    except OSError:
        return False


def read(path: Path) -> NgramModel:
    """Reads a trigram model of pocketsphinx, such as the `en-us.lm.bin` of its package.

    Words of other characters than a to z and the apostrophe are left out, as are sentences' ends; the others are spelt
    as transcripts are (`asr.language.imported.model_of`).

    Raises:
        AsrError: if the file cannot be read, or is no trigram model of this format.
    """
    try:
        return _model(_Reader(path.read_bytes()))
    except (OSError, IndexError, ValueError) as error:
        raise AsrError(f"{path}: expected a trigram model of CMU Sphinx in its binary format: {error}") from error


def _model(reader: _Reader) -> NgramModel:
    header, order = reader.bytes(len(HEADER)), reader.bytes(1)[0]
    if header != HEADER or order != 3:
        raise ValueError(f"its header is {header!r}, its order {order}")
    words, bigrams, trigrams = (int(n) for n in reader.numbers("<u4", 3))
    reader.bytes(4)  # once the kind of quantisation
    tables = reader.numbers("<f4", 3 * _BINS).reshape(3, _BINS).astype(np.float64) * _LN_BASE
    singles = reader.numbers("<f4,<f4,<u4", words + 1)
    bits = words.bit_length()
    pairs = _bit_fields(reader, bigrams + 1, [bits, 16, 16, trigrams.bit_length()])
    triples = _bit_fields(reader, trigrams + 1, [bits, 16])
    texts = reader.bytes(int(reader.numbers("<u4", 1)[0])).decode("utf-8", "replace").split("\0")
    # The trie begins with an n-gram's last word; below are those before it.
    below = singles["f2"].astype(np.int64)
    last = np.repeat(np.arange(words), below[1:] - below[:-1])
    before, backoffs, probs, firsts = (column[: len(last)] for column in pairs)
    ends = pairs[3][1 : len(last) + 1]
    row = np.repeat(np.arange(len(last)), ends - firsts)
    kept = [is_word(text, start=True) for text in texts]
    levels: list[Level] = [
        {
            (texts[i],): (float(p) * _LN_BASE, float(b) * _LN_BASE)
            for i, (p, b, _) in enumerate(singles[:words].tolist())
            if kept[i]
        },
        {
            (texts[a], texts[b]): (prob, backoff)
            for a, b, prob, backoff in zip(before, last, tables[0][probs], tables[1][backoffs], strict=True)
            if kept[a] and kept[b]
        },
        {
            (texts[a], texts[b], texts[c]): (weight, 0.0)
            for a, b, c, weight in zip(
                triples[0][: len(row)], before[row], last[row], tables[2][triples[1][: len(row)]], strict=True
            )
            if kept[a] and kept[b] and kept[c]
        },
    ]
    return model_of(levels)
