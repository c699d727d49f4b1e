"""Text as trigrams say it: sentences drawn word by word, each from those that follow the two before it.

A model that learns from text learns from it what another model's trigrams know, where their text is not at hand.
"""

import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.host_code import host_code
from asr.host_functions import MISSING, place_in_row
from asr.language.ngrams import RESERVED, START, NgramModel
from asr.language.sphinx import read_ngrams

_TRIES = 50  # to draw a word that is in no row: what a row leaves may be the unknown word's, which is not drawn


def sampled(ngrams: NgramModel, lengths: Sequence[int] | NDArray[np.int64], seed: int) -> list[str]:
    """Sentences of so many words each, drawn from the model."""
    unigrams = np.exp(ngrams.log_probs)
    unigrams[: len(RESERVED)] = 0.0
    words = _drawn(
        np.asarray(lengths, np.int64),
        np.cumsum(unigrams / unigrams.sum()),
        ngrams.bigram_starts,
        ngrams.bigram_words,
        _sums(ngrams.bigram_starts, ngrams.bigram_log_probs),
        ngrams.trigram_starts,
        ngrams.trigram_words,
        _sums(ngrams.trigram_starts, ngrams.trigram_log_probs),
        seed,
    )
    ends = np.cumsum(lengths)
    return [" ".join(ngrams.words[word] for word in part) for part in np.split(words, ends[:-1])]


def sample_words_command(path: Path, output: Path, sentences: int, words: tuple[int, int], seed: int) -> str:
    """Writes sentences of a model of trigrams.

    Args:
        path: ARPA file, or one of CMU Sphinx's.
        output: Text to write; .xz is packed.
        sentences: How many.
        words: Of a sentence, from and to.
        seed: Of the draw.

    Returns:
        What was written, in a line.

    Raises:
        AsrError: if the file cannot be read, or `words` is no range.
    """
    if not 1 <= words[0] <= words[1]:
        raise AsrError(f"words: expected a range of 1 or more, got {words[0]} to {words[1]}")
    ngrams = read_ngrams(path)
    lengths = np.random.default_rng(seed).integers(words[0], words[1] + 1, sentences)
    text = "\n".join(sampled(ngrams, lengths, seed)) + "\n"
    opened = lzma.open if output.suffix == ".xz" else open
    try:
        with opened(output, "wt", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise AsrError(f"{output}: {error.strerror}") from error
    return f"{output}: {sentences} sentences, {int(lengths.sum())} words"


def _sums(starts: NDArray[np.int64], log_probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of probabilities, up to and with each, in its row."""
    sums = np.cumsum(np.exp(log_probs))
    return sums - np.repeat(np.concatenate([[0.0], sums])[starts[:-1]], np.diff(starts))


@host_code
def _after_one(previous: int, unigrams: Any, starts: Any, words: Any, sums: Any) -> Any:
    first, last = starts[previous], starts[previous + 1]
    share = np.random.random()
    if last > first and share < sums[last - 1]:
        return words[first + np.searchsorted(sums[first:last], share, side="right")]
    word = MISSING
    for _ in range(_TRIES):  # of words that are no bigram after it
        word = min(np.searchsorted(unigrams, np.random.random(), side="right"), unigrams.shape[0] - 1)
        if last == first or place_in_row(words, first, last, word) == MISSING:
            break
    return word


@host_code
def _drawn(
    lengths: Any,
    unigrams: Any,
    bigram_starts: Any,
    bigram_words: Any,
    bigram_sums: Any,
    trigram_starts: Any,
    trigram_words: Any,
    trigram_sums: Any,
    seed: int,
) -> Any:
    """Numbers of the words of all sentences, one after the other."""
    np.random.seed(seed)
    found = np.empty(lengths.sum(), np.int64)
    count = 0
    for length in lengths:
        previous, bigram = START, MISSING
        for _ in range(length):
            word = MISSING
            if bigram != MISSING and trigram_starts[bigram + 1] > trigram_starts[bigram]:
                first, last = trigram_starts[bigram], trigram_starts[bigram + 1]
                share = np.random.random()
                if share < trigram_sums[last - 1]:
                    word = trigram_words[first + np.searchsorted(trigram_sums[first:last], share, side="right")]
                for _ in range(_TRIES if word == MISSING else 0):
                    word = _after_one(previous, unigrams, bigram_starts, bigram_words, bigram_sums)
                    if place_in_row(trigram_words, first, last, word) == MISSING:
                        break
            else:
                word = _after_one(previous, unigrams, bigram_starts, bigram_words, bigram_sums)
            bigram = place_in_row(bigram_words, bigram_starts[previous], bigram_starts[previous + 1], word)
            previous = word
            found[count] = word
            count += 1
    return found
