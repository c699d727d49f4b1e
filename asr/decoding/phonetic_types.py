"""What the phonetic search reads and keeps, as tuples of arrays that Numba takes.

Letters: P phonemes, N nodes, V words, A tokens, F states of phrases.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROOT = 0  # of every tree

Ints = NDArray[np.int32]
Floats = NDArray[np.float32]
Bytes = NDArray[np.int8]


class Tree(NamedTuple):
    """Pronunciations as a prefix tree: rows of children and of words that end at each node.

    Attributes:
        phone: [N] phoneme that leads to the node; of the root -1.
        child_starts: [N + 1] where each node's children begin.
        children: [N - 1].
        word_starts: [N + 1] where the words that end at each node begin.
        words: Their numbers.
        ahead: [N] log-probability of all words below together, without context.
        second: Node whose children are the root's, too: of words that only phrases have; -1: there is none.
    """

    phone: Ints
    child_starts: Ints
    children: Ints
    word_starts: Ints
    words: Ints
    ahead: Floats
    second: int


class Trigrams(NamedTuple):
    """`asr.language.ngrams.NgramModel` in single precision."""

    log_probs: Floats
    backoffs: Floats
    bigram_starts: NDArray[np.int64]
    bigram_words: Ints
    bigram_log_probs: Floats
    bigram_backoffs: Floats
    trigram_starts: NDArray[np.int64]
    trigram_words: Ints
    trigram_log_probs: Floats


class Phrases(NamedTuple):
    """Phrases as an automaton over words (Aho and Corasick 1975).

    Attributes:
        column: [V + words that only phrases have] column of each word in the tables; 0: a word of no phrase.
        following: [F, columns] next state.
        gain: [F, columns] what the word adds: its own bonus, less what is given back of a phrase that breaks off.
        pending: [F] what would be given back.
    """

    column: Ints
    following: Ints
    gain: Floats
    pending: Floats


class Tokens(NamedTuple):
    """Tokens of a stream; of each array the first `count` are alive.

    Attributes:
        node: Place in the tree.
        memory: Of the trigrams: a bigram's number, or -(word) - 1.
        last: Phoneme said last.
        phrase: State of the phrases.
        link: Its words: a place in the links.
        label: Log-probability of paths that end in the phoneme.
        blank: And in blank.
        start: Frame at which the word's first phoneme began.
        end: And that of its latest phoneme.
    """

    node: Ints
    memory: Ints
    last: Ints
    phrase: Ints
    link: Ints
    label: Floats
    blank: Floats
    start: Ints
    end: Ints


class Links(NamedTuple):
    """Words of all tokens, each with the one before it; the first is the segment's start.

    Attributes:
        previous: Place of the link before.
        word: Number of the word.
        start: Frame of its first phoneme.
        end: And of its last.
        score: Of the whole path up to its end.
        key: Of all words up to it: see `asr.decoding.next_words.key_after`.
    """

    previous: Ints
    word: Ints
    start: Ints
    end: Ints
    score: NDArray[np.float64]
    key: NDArray[np.int64]
