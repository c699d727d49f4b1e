"""A trigram model over words, estimated from text: interpolated modified Kneser–Ney, pruned.

Chen and Goodman 1998, "An empirical study of smoothing techniques for language modeling", section 3 (modified
Kneser–Ney); Seymore and Rosenfeld 1996, "Scalable backoff language models" (pruning by weighted difference).

Letters: V words, N bigrams, M trigrams. An n-gram is kept as one integer, its words' numbers side by side.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError

UNKNOWN, START = 0, 1  # words that no text has: any word outside the vocabulary, and the start of a sentence
RESERVED = ("<unk>", "<s>")
BITS = 21  # of a word's number: three fit into 63 bits

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class NgramModel:
    """Words, bigrams and trigrams, each sorted by its words' numbers.

    Attributes:
        words: V texts; `RESERVED` first.
        log_probs: [V] of each word without context; of the start -inf.
        backoffs: [V] what a word adds to its successors that are no bigrams.
        bigram_starts: [V + 1] where each word's bigrams begin.
        bigram_words: [N] the second word.
        bigram_log_probs: [N].
        bigram_backoffs: [N] what a bigram adds to its successors that are no trigrams.
        trigram_starts: [N + 1] where each bigram's trigrams begin.
        trigram_words: [M] the third word.
        trigram_log_probs: [M].
    """

    words: tuple[str, ...]
    log_probs: Floats
    backoffs: Floats
    bigram_starts: Ints
    bigram_words: Ints
    bigram_log_probs: Floats
    bigram_backoffs: Floats
    trigram_starts: Ints
    trigram_words: Ints
    trigram_log_probs: Floats

    def log_prob(self, word: int, before: Sequence[int]) -> float:
        """Natural logarithm of the probability of a word after others, of which the last two count."""
        if not before:
            return float(self.log_probs[word])
        previous = before[-1]
        if len(before) > 1:
            bigram = _found(self.bigram_starts, self.bigram_words, before[-2], previous)
            if bigram >= 0:
                trigram = _found(self.trigram_starts, self.trigram_words, bigram, word)
                if trigram >= 0:
                    return float(self.trigram_log_probs[trigram])
                return float(self.bigram_backoffs[bigram]) + self.log_prob(word, [previous])
        bigram = _found(self.bigram_starts, self.bigram_words, previous, word)
        if bigram >= 0:
            return float(self.bigram_log_probs[bigram])
        return float(self.backoffs[previous] + self.log_probs[word])


def _found(starts: Ints, words: Ints, row: int, word: int) -> int:
    """Place of a word in a row of sorted ones; -1: it is not there."""
    first, last = int(starts[row]), int(starts[row + 1])
    place = first + int(np.searchsorted(words[first:last], word))
    return place if place < last and words[place] == word else -1


def estimate(
    sentences: Sequence[Sequence[str]], min_count: int = 2, bigram_gain: float = 1.5, trigram_gain: float = 3.0
) -> NgramModel:
    """Counts, smooths and prunes.

    Args:
        sentences: Words of each.
        min_count: Rarer words are unknown ones.
        bigram_gain: Bigrams are kept that raise the text's log-probability by more than this over what is left without
            them, in nats; or that a trigram begins with.
        trigram_gain: The same for trigrams.

    Raises:
        AsrError: if there are no words, or more than numbers.
    """
    counts = Counter(word for sentence in sentences for word in sentence)
    known = sorted((w for w, n in counts.items() if n >= min_count), key=lambda w: (-counts[w], w))
    words = (*RESERVED, *known)
    if len(words) >= 1 << BITS:
        raise AsrError(f"expected fewer than {1 << BITS} words, got {len(words)}")
    numbers = {word: i for i, word in enumerate(words)}
    rows = [[START, *(numbers.get(word, UNKNOWN) for word in sentence)] for sentence in sentences if len(sentence)]
    if not rows:
        raise AsrError("expected sentences with words, got none")
    stream = np.concatenate([np.array(row, np.int64) for row in rows])
    raw = [_grams(stream, n) for n in (1, 2, 3)]  # keys and counts in the text
    counted = [_continuations(raw[0], raw[1]), _continuations(raw[1], raw[2]), raw[2]]
    probs = _unigrams(len(words), counted[0])
    levels = [(np.arange(len(words)), probs)]
    for keys, count in counted[1:]:
        levels.append((keys, _interpolated(keys, count, levels[-1])))
    return pruned(words, levels, [raw[1][1], raw[2][1]], (bigram_gain, trigram_gain))


def _grams(stream: Ints, order: int) -> tuple[Ints, Ints]:
    """N-grams that lie in one sentence, and how often each occurs; the start alone is none."""
    size = len(stream) - order + 1
    keys, inside = np.zeros(max(0, size), np.int64), np.ones(max(0, size), bool)
    for n in range(order):
        part = stream[n : n + size]
        keys = keys << BITS | part
        if n or order == 1:
            inside &= part != START
    return np.unique(keys[inside], return_counts=True)


def _continuations(grams: tuple[Ints, Ints], longer: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """How many different words stand before each n-gram; those at a sentence's start keep their count."""
    keys, counts = grams
    order = 1 if keys.max() < 1 << BITS else 2
    ends, found = np.unique(longer[0] & _mask(order), return_counts=True)
    different = np.zeros(len(keys), np.int64)
    different[np.searchsorted(keys, ends)] = found
    return keys, np.where(different > 0, different, counts)


def _mask(order: int) -> int:
    return (1 << BITS * order) - 1


def _discounts(counts: Ints) -> Floats:
    """What is taken from each count (Chen and Goodman, equation 26); one half of each where too few are small."""
    n1, n2, n3, n4 = (int(np.sum(counts == n)) for n in (1, 2, 3, 4))
    if not n1 or not n2 or not n3:
        return np.full(len(counts), 0.5)
    y = n1 / (n1 + 2 * n2)
    steps = np.array([0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    return np.maximum(steps, 0.0)[np.minimum(counts, 3)]


def _unigrams(vocabulary: int, counted: tuple[Ints, Ints]) -> Floats:
    """[V] probabilities; what discounting leaves is shared by all words alike."""
    keys, counts = counted
    taken = _discounts(counts)
    probs = np.zeros(vocabulary)
    probs[keys] = (counts - taken) / counts.sum()
    probs += taken.sum() / counts.sum() / (vocabulary - 1)
    probs[START] = 0.0
    return probs


def _rows(keys: Ints) -> tuple[Ints, Ints]:
    """Where each context's n-grams begin, and the number of each n-gram's context."""
    contexts = keys >> BITS
    new = np.ones(len(keys), bool)
    new[1:] = contexts[1:] != contexts[:-1]
    return np.flatnonzero(new), np.cumsum(new) - 1


def _interpolated(keys: Ints, counts: Ints, lower: tuple[Ints, Floats]) -> Floats:
    """Probabilities of n-grams, each mixed with that of its end (equation 25)."""
    starts, row = _rows(keys)
    taken = _discounts(counts)
    totals = np.add.reduceat(counts, starts)
    left = np.add.reduceat(taken, starts) / totals
    return (counts - taken) / totals[row] + left[row] * _end_probs(keys, lower)


def _end_probs(keys: Ints, lower: tuple[Ints, Floats]) -> Floats:
    """Probability of each n-gram without its first word, which is an n-gram itself."""
    order = 1 if len(lower[0]) and lower[0].max() < 1 << BITS else 2
    return lower[1][np.searchsorted(lower[0], keys & _mask(order))]


def pruned(
    words: tuple[str, ...],
    levels: Sequence[tuple[Ints, Floats]],
    counts: Sequence[Ints | Floats],
    gains: tuple[float, float],
) -> NgramModel:
    """Leaves out n-grams that gain little, and sets the backoffs of what is left.

    Args:
        words: V texts, `RESERVED` first.
        levels: Of words, bigrams and trigrams: sorted keys and probabilities. What a longer one begins and ends with
            is there, too.
        counts: How often each bigram and each trigram occurs, or is expected to.
        gains: Nats that a bigram and a trigram gain at least.
    """
    kept_trigrams = _gain(levels[2], levels[1], counts[1]) > gains[1]
    trigrams = levels[2][0][kept_trigrams]
    kept_bigrams = _gain(levels[1], levels[0], counts[0]) > gains[0]
    kept_bigrams |= np.isin(levels[1][0], trigrams >> BITS)
    bigrams = levels[1][0][kept_bigrams]
    bigram_probs, trigram_probs = levels[1][1][kept_bigrams], levels[2][1][kept_trigrams]
    unigram_probs = levels[0][1]
    backoffs = np.ones(len(words))
    contexts = bigrams >> BITS
    _set_backoffs(backoffs, contexts, bigram_probs, unigram_probs[bigrams & _mask(1)])
    ends = _backed_off(trigrams & _mask(2), bigrams, bigram_probs, backoffs, unigram_probs)
    bigram_backoffs = np.ones(len(bigrams))
    places = np.searchsorted(bigrams, trigrams >> BITS)
    _set_backoffs(bigram_backoffs, places, trigram_probs, ends)
    with np.errstate(divide="ignore"):  # the start's probability is zero
        log_probs = np.log(unigram_probs)
    return NgramModel(
        words,
        log_probs,
        np.log(backoffs),
        np.searchsorted(contexts, np.arange(len(words) + 1)),
        bigrams & _mask(1),
        np.log(bigram_probs),
        np.log(bigram_backoffs),
        np.searchsorted(places, np.arange(len(bigrams) + 1)),
        trigrams & _mask(1),
        np.log(trigram_probs),
    )


def _gain(level: tuple[Ints, Floats], lower: tuple[Ints, Floats], counts: Ints | Floats) -> Floats:
    """By how much each n-gram raises the log-probability of the text it was counted in."""
    keys, probs = level
    starts, row = _rows(keys)
    ends = _end_probs(keys, lower)
    left = np.maximum(1.0 - np.add.reduceat(probs, starts), 1e-9)
    room = np.maximum(1.0 - np.add.reduceat(ends, starts), 1e-9)
    return counts * (np.log(probs) - np.log(ends * (left / room)[row]))


def _set_backoffs(backoffs: Floats, rows: Ints, probs: Floats, ends: Floats) -> None:
    """Sets the backoffs of the rows that have n-grams: what these leave, over what their ends leave."""
    if not len(rows):
        return
    starts = np.flatnonzero(np.concatenate([[True], rows[1:] != rows[:-1]]))
    left = np.maximum(1.0 - np.add.reduceat(probs, starts), 1e-6)
    backoffs[rows[starts]] = left / np.maximum(1.0 - np.add.reduceat(ends, starts), 1e-6)


def _backed_off(keys: Ints, bigrams: Ints, probs: Floats, backoffs: Floats, unigrams: Floats) -> Floats:
    """Probabilities of bigrams by the pruned model."""
    places = np.minimum(np.searchsorted(bigrams, keys), max(0, len(bigrams) - 1))
    through: Any = backoffs[keys >> BITS] * unigrams[keys & _mask(1)]
    if not len(bigrams):
        return through
    return np.where(bigrams[places] == keys, probs[places], through)
