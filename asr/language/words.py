"""Words in the beam search: a lexicon and a trigram model over whole words, followed wordpiece by wordpiece.

A network that spells can misspell; this language model knows that "falshign" is no word. Inside a word a hypothesis
has the probability of all words that its pieces may become, without context (look-ahead, Ortmanns et al. 1996); when
the word ends, that of the word after its two predecessors takes its place. A word that the lexicon does not have costs
a fixed price and a price for each piece.

Letters: N hypotheses, V wordpieces.
"""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.language.config import PHRASE_WORD, WordPrices
from asr.language.lexicon import OUTSIDE, ROOT, Lexicon
from asr.language.ngrams import START, UNKNOWN, NgramModel
from asr.tokenizer import Tokenizer

NONE = -1  # no bigram
NO_CHILD = -1e4  # nats


@dataclass(frozen=True)
class LexiconPhrases:
    """`asr.decoding.phrases.PhraseWords` of a lexicon: its own words get nothing back.

    Attributes:
        lexicon: The words' spelling.
        prices: Of words that it does not have.
        weight: Of the language model in the search.
    """

    lexicon: Lexicon
    prices: WordPrices
    weight: float

    def begin(self) -> int:
        """The lexicon's root."""
        return ROOT

    def after(self, place: int, piece: int) -> tuple[int, float]:
        """The node below, or `OUTSIDE` and what that costs more than `PHRASE_WORD`."""
        slot = int(self.lexicon.base[place]) + piece
        if self.lexicon.owner[slot] == place:
            return slot, 0.0
        back = -self.prices.outside_piece + (0.0 if place == OUTSIDE else self._back)
        return OUTSIDE, self.weight * back

    def end(self, place: int) -> float:
        """Of a word that only begins others: it leaves the lexicon where it ends."""
        known = place == OUTSIDE or self.lexicon.word[place] >= 0
        return 0.0 if known else self.weight * self._back

    @property
    def _back(self) -> float:
        """Of the price of an unknown word; nothing where that is lower than a phrase's."""
        return max(0.0, PHRASE_WORD - self.prices.outside)


class WordLanguageModel(keras.layers.Layer):
    """Log-probabilities of wordpieces from a lexicon and word trigrams; a `LanguageModel` of the beam search.

    Args:
        ngrams: The trigrams.
        lexicon: The words' spelling.
        tokenizer: Wordpieces, in which the lexicon spells.
        prices: Of unknown words, and the bonus of each word.
    """

    def __init__(
        self,
        ngrams: NgramModel,
        lexicon: Lexicon,
        tokenizer: Tokenizer,
        prices: WordPrices | None = None,
        **kwargs: Any,
    ) -> None:
        """Puts the tables on the device."""
        super().__init__(name="words", trainable=False, **kwargs)
        self.prices = prices or WordPrices()
        self._lexicon = lexicon
        self._searches = [_steps(table) for table in (ngrams.bigram_starts, ngrams.trigram_starts)]
        starts = np.array([tokenizer.starts_word(piece) for piece in range(len(tokenizer))])
        tables = {
            "log_probs_of": np.maximum(ngrams.log_probs, NO_CHILD),
            "backoffs": ngrams.backoffs,
            "bigram_starts": ngrams.bigram_starts,
            "bigram_words": ngrams.bigram_words,
            "bigram_log_probs": ngrams.bigram_log_probs,
            "bigram_backoffs": ngrams.bigram_backoffs,
            "trigram_starts": ngrams.trigram_starts,
            "trigram_words": ngrams.trigram_words,
            "trigram_log_probs": ngrams.trigram_log_probs,
            "base": lexicon.base,
            "owner": lexicon.owner,
            "ahead": lexicon.ahead,
            "word": lexicon.word,
            "starts": starts.astype(np.float32),
        }
        for name, values in tables.items():
            setattr(self, name, self._table(name, values))
        self.built = True

    @property
    def identity(self) -> str:
        """What of it is part of a program besides its variables."""
        return f"words {self.prices} {self._searches}"

    def phrase_words(self, weight: float) -> LexiconPhrases:
        """What words of phrases get back, with the language model's weight in the search."""
        return LexiconPhrases(self._lexicon, self.prices, weight)

    def _table(self, name: str, values: NDArray[Any]) -> Any:
        dtype = "float32" if values.dtype.kind == "f" else "int32"
        padded = values if len(values) else np.zeros(1, values.dtype)  # a place that is looked up, and never taken
        return self.add_weight(
            shape=padded.shape, dtype=dtype, initializer=lambda *_, **__: padded.astype(dtype), name=name
        )

    def initial_state(self, batch: int) -> dict[str, Any]:
        """State of `batch` new segments: at a sentence's start, before a word.

        "node" in the lexicon; "last" word and "bigram" of the last two before the current word; "word" and "pair":
        the same, were the current word to end; "finish": what its end would add. Each [batch].
        """
        numbers = {"node": ROOT, "last": START, "bigram": NONE, "word": START, "pair": NONE}
        state: dict[str, Any] = {name: ops.full((batch,), value, "int32") for name, value in numbers.items()}
        return state | {"finish": ops.zeros((batch,))}

    def log_probs(self, state: dict[str, Any]) -> Any:
        """Of every next label, [N, V]: not normalised, since they look ahead."""
        prices, node = self.prices, state["node"]
        within = self._children(node)  # [N, V]
        within = ops.where(
            within > NO_CHILD, within - ops.take(self.ahead, node)[:, None], self._leaving(state)[:, None]
        )
        begun = self._children(ops.full((1,), ROOT, "int32"))  # [1, V]
        begun = ops.where(begun > NO_CHILD, begun, prices.outside + prices.outside_piece) + prices.word_bonus
        return ops.where(self.starts > 0.5, state["finish"][:, None] + begun, within)

    def _children(self, node: Any) -> Any:
        """Log-probabilities of the words below each child of a node: [N] -> [N, V]; `NO_CHILD` where there is none."""
        slots = ops.take(self.base, node)[:, None] + ops.arange(self.starts.shape[0], dtype="int32")
        return ops.where(ops.take(self.owner, slots) == node[:, None], ops.take(self.ahead, slots), NO_CHILD)

    def _leaving(self, state: dict[str, Any]) -> Any:
        """What a piece costs that no word of the lexicon goes on with, [N]."""
        price = self.prices.outside - ops.take(self.ahead, state["node"])
        return self.prices.outside_piece + ops.where(state["node"] == OUTSIDE, 0.0, price)

    def step(self, label: Any, state: dict[str, Any]) -> dict[str, Any]:
        """State after a label: [N] int32, state [N, …]."""
        begins = ops.take(self.starts, label) > 0.5
        node = ops.where(begins, ROOT, state["node"])
        last = ops.where(begins, state["word"], state["last"])
        bigram = ops.where(begins, state["pair"], state["bigram"])
        slot = ops.take(self.base, node) + label
        node = ops.where(ops.take(self.owner, slot) == node, slot, OUTSIDE)
        word, ahead = ops.take(self.word, node), ops.take(self.ahead, node)
        known = word >= 0
        word = ops.where(known, word, UNKNOWN)
        pair = self._search(self.bigram_starts, self.bigram_words, last, word, 0)
        log_prob = self._log_prob(word, last, bigram, pair)
        # The price of a word outside the lexicon was paid when it left it.
        unfinished = ops.where(node == OUTSIDE, 0.0, self.prices.outside - ahead)
        return {
            "node": node,
            "last": last,
            "bigram": bigram,
            "word": word,
            "pair": pair,
            "finish": ops.where(known, log_prob - ahead, unfinished),
        }

    def _log_prob(self, word: Any, last: Any, bigram: Any, pair: Any) -> Any:
        """Of a word after two; `bigram` is the place of those two, `pair` that of the last and the word: all [N]."""
        single = ops.take(self.backoffs, last) + ops.take(self.log_probs_of, word)
        double = ops.where(pair >= 0, ops.take(self.bigram_log_probs, ops.maximum(pair, 0)), single)
        row = ops.maximum(bigram, 0)
        triple = self._search(self.trigram_starts, self.trigram_words, row, word, 1)
        found = ops.take(self.trigram_log_probs, ops.maximum(triple, 0))
        backed = ops.take(self.bigram_backoffs, row) + double
        return ops.where(bigram >= 0, ops.where(triple >= 0, found, backed), double)

    def _search(self, starts: Any, words: Any, row: Any, word: Any, level: int) -> Any:
        """Place of a word in a row of sorted ones, by halving: [N] -> [N]; `NONE`: it is not there."""
        low, end = ops.take(starts, row), ops.take(starts, row + 1)
        high = end
        largest = words.shape[0] - 1
        for _ in range(self._searches[level]):
            middle = (low + high) // 2
            less = ops.logical_and(middle < high, ops.take(words, ops.minimum(middle, largest)) < word)
            low, high = ops.where(less, middle + 1, low), ops.where(less, high, middle)
        place = ops.minimum(low, largest)
        return ops.where(ops.logical_and(low < end, ops.take(words, place) == word), place, NONE)


def _steps(starts: NDArray[np.int64]) -> int:
    """Halvings that the longest row needs."""
    return int(np.max(np.diff(starts), initial=0)).bit_length()
