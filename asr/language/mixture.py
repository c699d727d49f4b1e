"""Several trigram models as one: linear interpolation, merged into one back-off model.

Jelinek and Mercer 1980 (weights by expectation maximisation on held-out text); Stolcke 2002, "SRILM", section 3 (static
merging: the n-grams of all models, each with the mixture's probability, and back-off weights anew); Stolcke 1998,
"Entropy-based pruning of backoff language models" (an n-gram is worth what it is expected to gain).

Letters: K models, V words, N bigrams, M trigrams, W held-out words.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.language.ngrams import BITS, RESERVED, START, UNKNOWN, NgramModel, pruned

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

EXPECTED = 12e6  # words of a text in which n-grams gain what pruning asks for
STARTS = 1 / 16  # sentences a word
_ROUNDS = 100  # of expectation maximisation
_MASK = (1 << BITS) - 1


def mixture_weights(models: Sequence[NgramModel], sentences: Sequence[Sequence[str]]) -> Floats:
    """[K] shares of the models that make held-out sentences likeliest.

    Words that no model knows do not count.

    Raises:
        AsrError: if the sentences have no word that a model knows.
    """
    likely = np.stack([_text_probs(model, sentences) for model in models])  # [K, W]
    likely = likely[:, likely.max(0) > 0]
    if not likely.size:
        raise AsrError("expected held-out sentences with words that some language model knows, got none")
    weights = np.full(len(models), 1 / len(models))
    for _ in range(_ROUNDS):
        shares = weights[:, None] * likely
        weights = (shares / shares.sum(0)).mean(1)
    return weights


def _text_probs(model: NgramModel, sentences: Sequence[Sequence[str]]) -> Floats:
    numbers = {word: i for i, word in enumerate(model.words)}
    found = []
    for sentence in sentences:
        said = [START]
        for word in sentence:
            number = numbers.get(word, UNKNOWN)
            found.append(np.exp(model.log_prob(number, said[-2:])) if number != UNKNOWN else 0.0)
            said.append(number)
    return np.array(found)


def merged(
    models: Sequence[NgramModel], weights: Sequence[float] | Floats, bigram_gain: float = 1.5, trigram_gain: float = 3.0
) -> NgramModel:
    """One back-off model of the mixture.

    Args:
        models: What is mixed. A model gives no probability to words that it does not have.
        weights: [K] shares; they sum to 1.
        bigram_gain: Bigrams are kept that raise the log-probability of `EXPECTED` words of the mixture's own by more
            than this over what is left without them, in nats; or that a trigram begins with.
        trigram_gain: The same for trigrams.

    Raises:
        AsrError: if there are more words than numbers.
    """
    words = _all_words(models, weights)
    numbers = {word: i for i, word in enumerate(words)}
    parts = [_Part(model, numbers) for model in models]
    unigrams = sum(w * part.unigrams for w, part in zip(weights, parts, strict=True))
    trigrams = np.unique(np.concatenate([part.trigrams for part in parts]))
    bigrams = np.unique(
        np.concatenate([*(part.bigrams for part in parts), trigrams >> BITS, trigrams & (1 << 2 * BITS) - 1])
    )
    bigrams = bigrams[(bigrams & _MASK) != START]
    bigram_probs = sum(w * part.bigram_probs(bigrams) for w, part in zip(weights, parts, strict=True))
    trigram_probs = sum(w * part.trigram_probs(trigrams) for w, part in zip(weights, parts, strict=True))
    heard = np.where(np.arange(len(words)) == START, STARTS, unigrams)
    bigram_counts = EXPECTED * heard[bigrams >> BITS] * bigram_probs
    trigram_counts = bigram_counts[np.searchsorted(bigrams, trigrams >> BITS)] * trigram_probs
    levels = [(np.arange(len(words)), unigrams), (bigrams, bigram_probs), (trigrams, trigram_probs)]
    return pruned(words, levels, [bigram_counts, trigram_counts], (bigram_gain, trigram_gain))


def _all_words(models: Sequence[NgramModel], weights: Sequence[float] | Floats) -> tuple[str, ...]:
    """Words of all models, the frequent ones first: their numbers are small then, and so is the file."""
    probs: dict[str, float] = {}
    for model, weight in zip(models, weights, strict=True):
        for word, log_prob in zip(model.words[len(RESERVED) :], model.log_probs[len(RESERVED) :], strict=True):
            probs[word] = probs.get(word, 0.0) + weight * np.exp(log_prob)
    words = (*RESERVED, *sorted(probs, key=lambda word: (-probs[word], word)))
    if len(words) >= 1 << BITS:
        raise AsrError(f"expected fewer than {1 << BITS} words in all, got {len(words)}")
    return words


class _Part:
    """A model by the numbers that the mixture gives its words."""

    def __init__(self, model: NgramModel, numbers: dict[str, int]) -> None:
        place = np.array([numbers[word] for word in model.words], np.int64)
        size = len(numbers)
        self.unigrams, self._backoffs = np.zeros(size), np.ones(size)
        self.unigrams[place], self._backoffs[place] = np.exp(model.log_probs), np.exp(model.backoffs)
        first = np.repeat(np.arange(len(model.words)), np.diff(model.bigram_starts))
        keys = place[first] << BITS | place[model.bigram_words]
        row = np.repeat(np.arange(len(keys)), np.diff(model.trigram_starts))
        longer = keys[row] << BITS | place[model.trigram_words]
        order = np.argsort(keys)
        self.bigrams, self._bigram_probs = keys[order], np.exp(model.bigram_log_probs[order])
        self._bigram_backoffs = np.exp(model.bigram_backoffs[order])
        order = np.argsort(longer)
        self.trigrams, self._trigram_probs = longer[order], np.exp(model.trigram_log_probs[order])

    def bigram_probs(self, keys: Ints) -> Floats:
        """[n] probabilities of words after one other, by this model."""
        probs = self._backoffs[keys >> BITS] * self.unigrams[keys & _MASK]
        return _with(probs, keys, self.bigrams, self._bigram_probs)

    def trigram_probs(self, keys: Ints) -> Floats:
        """[n] probabilities of words after two others, by this model."""
        backoffs = _with(np.ones(len(keys)), keys >> BITS, self.bigrams, self._bigram_backoffs)
        probs = backoffs * self.bigram_probs(keys & (1 << 2 * BITS) - 1)
        return _with(probs, keys, self.trigrams, self._trigram_probs)


def _with(values: Floats, keys: Ints, known: Ints, theirs: Floats) -> Floats:
    """Values, but of the keys that are known those that stand there."""
    if not len(known):
        return values
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[places] == keys, theirs[places], values)
