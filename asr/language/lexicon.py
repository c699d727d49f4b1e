"""The words of a language model as a trie over wordpieces, in the double-array form that a compiled step can read.

A node's children lie in one array: the child by wordpiece p at `base[node] + p`, and it is one if it names the node as
its owner (Aoe 1989, "An efficient digital search algorithm by using a double-array structure"). So the children by all
V wordpieces are one slice.

Letters: S slots, V wordpieces.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.language.ngrams import RESERVED
from asr.tokenizer import Tokenizer

ROOT, OUTSIDE = 0, 1  # slots: before a word's first piece; in a word that the lexicon does not have
WINDOW = 512  # bases tried at a time
FULL = 0.9  # of the slots before a node's children taken: there is no further search there


@dataclass(frozen=True)
class Lexicon:
    """The trie. Slots 0 and 1 are `ROOT` and `OUTSIDE`.

    Attributes:
        base: [S] int32.
        owner: [S] int32, the node of which a slot is a child; -1: none.
        ahead: [S] float32, log-probability of all words below a node together, without context.
        word: [S] int32, the word that ends at a node; -1: none.
    """

    base: NDArray[np.int32]
    owner: NDArray[np.int32]
    ahead: NDArray[np.float32]
    word: NDArray[np.int32]


def build_lexicon(words: Sequence[str], log_probs: NDArray[np.float64], tokenizer: Tokenizer) -> Lexicon:
    """The trie of all words but `RESERVED`, in the tokenizer's own spelling.

    Args:
        words: Texts; `RESERVED` first.
        log_probs: Of each without context.
        tokenizer: Wordpieces.
    """
    children: list[dict[int, int]] = [{}]
    ends: dict[int, int] = {}
    probs = [0.0]
    for number in range(len(RESERVED), len(words)):
        node = 0
        for piece in tokenizer.encode(words[number]):
            following = children[node].get(piece)
            if following is None:
                following = children[node][piece] = len(children)
                children.append({})
                probs.append(0.0)
            node = following
            probs[node] += float(np.exp(log_probs[number]))
        ends[node] = number
    return _placed(children, ends, probs, len(tokenizer))


def _placed(children: list[dict[int, int]], ends: dict[int, int], probs: list[float], vocabulary: int) -> Lexicon:
    """Finds a base for every node, first fit, those with many children first."""
    taken = np.zeros(2 * len(children) + 4 * vocabulary, bool)
    taken[: OUTSIDE + 1] = True
    slots = np.zeros(len(children), np.int64)  # of each node
    bases = np.full(len(children), -1, np.int64)
    first = OUTSIDE + 1  # hardly a slot before is free
    for node in sorted(range(len(children)), key=lambda n: (-len(children[n]), n)):
        pieces = np.array(sorted(children[node]), np.int64)
        if not len(pieces):
            break  # nor do those that follow have children
        base = max(OUTSIDE + 1, first - int(pieces[0]))
        while True:
            if base + WINDOW + vocabulary > len(taken):
                taken = np.concatenate([taken, np.zeros(len(taken) + WINDOW, bool)])
            fits = ~np.logical_or.reduce([taken[base + p : base + p + WINDOW] for p in pieces])
            if fits.any():
                break
            base += WINDOW
        bases[node] = base = base + int(np.argmax(fits))
        passed_over = taken[first : base + pieces[0]]
        if len(passed_over) and passed_over.mean() > FULL:
            first = int(base + pieces[0])
        taken[base + pieces] = True
        for piece, child in children[node].items():
            slots[child] = base + piece
    return _filled(children, ends, probs, slots, bases, vocabulary)


def _filled(
    children: list[dict[int, int]],
    ends: dict[int, int],
    probs: list[float],
    slots: NDArray[np.int64],
    bases: NDArray[np.int64],
    vocabulary: int,
) -> Lexicon:
    size = int(max(bases.max(), 2)) + vocabulary + 1
    base = np.full(size, size - vocabulary, np.int32)  # of nodes without children: the last slots, which nobody owns
    owner, word = np.full(size, -1, np.int32), np.full(size, -1, np.int32)
    ahead = np.zeros(size, np.float32)
    for node, below in enumerate(children):
        slot = slots[node]
        if below:
            base[slot] = bases[node]
        if node:
            ahead[slot] = np.log(max(probs[node], 1e-12))
        for child in below.values():
            owner[slots[child]] = slot
    for node, number in ends.items():
        word[slots[node]] = number
    return Lexicon(base, owner, ahead, word)
