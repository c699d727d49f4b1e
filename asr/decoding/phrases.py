"""Phrases to favour: an automaton over wordpieces, followed label by label inside the compiled step.

A trie of the phrases with failure links (Aho and Corasick 1975) says, after any labels, how much of a phrase has been
said. Every wordpiece on a phrase's way but its first adds a bonus to its score; what turns out to be another word gives
back all that it got (as in shallow fusion with contextual biasing, Pundak et al. 2018, 1808.02480, section 3.2). A
phrase begins where a word begins and keeps its bonus if a word begins after it, too, or nothing follows; then its words
are no other phrase's beginning, so that none is paid twice. Its first wordpiece gets none: too many words begin with
it, and greedy decoding cannot take back what it has said.

A beam with a lexicon has a high price for words that it does not have, which names often are. Those of phrases get the
difference to a fixed price back, on the same terms as a bonus (`PhraseWords`).

Letters: T lists of phrases, N nodes of each, V wordpieces, B streams; "..." is B, or B and its hypotheses.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.tokenizer import Tokenizer
from data.text import normalise

NODES = 1024  # of a list, the root included: about 250 phrases of two words
PHRASE_WEIGHT = 1.25  # bonus of a wordpiece, in nats; the best on development data (docs/phrases.md)


class PhraseTables(NamedTuple):
    """Lists of phrases as the compiled step reads them; list 0 has none.

    Attributes:
        following: [T, N, V] int16, the node after each label.
        pending: [T, N] float32, bonus at each node that is given back unless the phrase is completed.
        earned: [T, N] float32, what of it stays if a word begins now.
        starts: [V] float32, 1 for wordpieces that begin a word.
    """

    following: Any
    pending: Any
    earned: Any
    starts: Any


class PhraseWords(Protocol):
    """What words of phrases get back of the price that a language model asks for words it does not know."""

    def begin(self) -> int:
        """Where a word begins."""

    def after(self, place: int, piece: int) -> tuple[int, float]:
        """The place after a wordpiece of a word, and what is given back for it, in nats."""

    def end(self, place: int) -> float:
        """What is given back if the word ends here."""


@dataclass(frozen=True)
class PhraseList:
    """One list: as `PhraseTables`, without T."""

    following: NDArray[np.int16]
    pending: NDArray[np.float32]
    earned: NDArray[np.float32]


def biased(tables: PhraseTables, lists: Any, nodes: Any) -> tuple[Any, Any]:
    """Bonus of every next label, and the node after it.

    Args:
        tables: Lists of phrases.
        lists: [...] int32, each stream's list.
        nodes: [...] int32, where it is in it.

    Returns:
        Two [..., V]: float32 nats, and int32.
    """
    _, count, vocabulary = tables.following.shape
    base = ops.cast(lists, "int32") * count
    place = base + nodes
    following = ops.take(ops.reshape(tables.following, (-1, vocabulary)), place, axis=0)
    following = ops.cast(following, "int32")
    pending, earned = ops.reshape(tables.pending, (-1,)), ops.reshape(tables.earned, (-1,))
    bonus = ops.take(pending, base[..., None] + following, axis=0) - ops.take(pending, place, axis=0)[..., None]
    return bonus + tables.starts * ops.take(earned, place, axis=0)[..., None], following


def after(following: Any, label: Any) -> Any:
    """The node after a label: [..., V] from `biased`, [...] int32 -> [...]."""
    return ops.take_along_axis(following, label[..., None], axis=-1)[..., 0]


def compile_phrases(
    phrases: Sequence[str],
    tokenizer: Tokenizer,
    weight: float = PHRASE_WEIGHT,
    nodes: int = NODES,
    words: PhraseWords | None = None,
) -> PhraseList:
    """The automaton of a list.

    Args:
        phrases: Names and terms, as people write them; in transcripts they are normalised (`data.text`).
        tokenizer: Wordpieces.
        weight: Bonus of each wordpiece, in nats.
        nodes: N, nodes at most: one for each wordpiece that phrases do not share, and the root.
        words: Of the search's language model; None: it has none, or one that knows no words.

    Raises:
        AsrError: naming a phrase without words or with letters that have no reading, or for too many phrases.
    """
    children: list[dict[int, int]] = [{}]
    ends: set[int] = set()
    for phrase in dict.fromkeys(phrases):
        node = 0
        for piece in tokenizer.encode(normalised(phrase)):
            if piece not in children[node]:
                children[node][piece] = len(children)
                children.append({})
            node = children[node][piece]
        ends.add(node)
        if len(children) > nodes:
            raise AsrError(f"phrases: expected at most {nodes - 1} wordpieces in all, got more, at {phrase!r}")
    return _filled(*_linked(children, ends, tokenizer, weight, words), nodes)


def no_phrases(vocabulary: int, nodes: int = 1) -> PhraseList:
    """The list that favours nothing."""
    zero = np.zeros(nodes, np.float32)
    return PhraseList(np.zeros((nodes, vocabulary), np.int16), zero, zero)


def stacked(lists: Sequence[PhraseList], tokenizer: Tokenizer) -> PhraseTables:
    """Tables of several lists with as many nodes each, on the device."""
    starts = np.array([tokenizer.starts_word(piece) for piece in range(len(tokenizer))], np.float32)
    arrays = (np.stack([getattr(one, name) for one in lists]) for name in ("following", "pending", "earned"))
    return PhraseTables(*(ops.convert_to_tensor(array) for array in (*arrays, starts)))


def normalised(phrase: str) -> str:
    """The words of a phrase as transcripts have them.

    Raises:
        AsrError: naming a phrase without words or with letters that have no reading.
    """
    try:
        words = normalise(phrase)
    except ValueError as error:
        raise AsrError(f"phrase {phrase!r}: expected words that can be said: {error}") from error
    if not words:
        raise AsrError(f"phrase {phrase!r}: expected a word or more, got none")
    return words


def _linked(
    children: list[dict[int, int]],
    ends: set[int],
    tokenizer: Tokenizer,
    weight: float,
    words: PhraseWords | None,
) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.float32]]:
    """Transitions and bonuses of a trie, breadth first: a node's failure link is nearer to the root than itself."""
    count, vocabulary = len(children), len(tokenizer)
    following = np.zeros((count, vocabulary), np.int16)
    pending, earned = np.zeros(count, np.float32), np.zeros(count, np.float32)
    failure = [0] * count
    places = [0] * count  # in the language model's words
    starts = np.array([tokenizer.starts_word(piece) for piece in range(vocabulary)])
    waiting = deque([0])
    while waiting:
        node = waiting.popleft()
        ending = words.end(places[node]) if words and node else 0.0
        whole = node in ends  # if a word begins now: then what was said is paid, and begins no other phrase
        if node:
            following[node] = following[failure[node]]
        if whole:
            following[node, starts] = following[0, starts]
        for piece, child in children[node].items():
            begins, back = tokenizer.starts_word(piece), 0.0
            if words:
                places[child], back = words.after(words.begin() if begins else places[node], piece)
            # What is earned when the next word begins is no longer pending: only what comes after it is.
            begun = pending[node] + (ending - earned[node] if begins else 0.0)
            pending[child] = begun + (weight if node else 0.0) + back
            failure[child] = int(following[0 if whole and begins else failure[node], piece]) if node else 0
            kept = pending[child] + (words.end(places[child]) if words else 0.0)
            earned[child] = kept if child in ends else earned[failure[child]]
            waiting.append(child)
        for piece, child in children[node].items():
            following[node, piece] = child
    return following, pending, earned


def _filled(
    following: NDArray[np.int16], pending: NDArray[np.float32], earned: NDArray[np.float32], nodes: int
) -> PhraseList:
    more = nodes - len(pending)
    return PhraseList(np.pad(following, ((0, more), (0, 0))), np.pad(pending, (0, more)), np.pad(earned, (0, more)))
