"""The phonetic search of one stream: `asr.decoding.token_passing` with its tokens and words from chunk to chunk.

Letters: P phonemes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.decoding.next_words import NextWords, kept_states
from asr.decoding.phonetic_types import ROOT, Floats, Links, Phrases, Tokens, Tree, Trigrams
from asr.decoding.token_passing import BINS, NEVER, advance, compacted, shared
from asr.language.config import PhoneticWeights
from asr.language.ngrams import START

SAID_NOTHING = -1  # in place of a phoneme
MADE = 8  # tokens that those of a frame make, each, before most of them are pruned
LEAST = 1 << 14  # of them, as even one goes to all phonemes that begin words
LINKS = 8  # words of all paths that are being searched, for each such token


def _new_tokens(size: int) -> Tokens:
    kinds: dict[str, Any] = {"label": np.float32, "blank": np.float32}
    return Tokens(*(np.zeros(size, kinds.get(name, np.int32)) for name in Tokens._fields))


def _new_links(size: int) -> Links:
    kinds: dict[str, Any] = {"score": np.float64, "key": np.int64}
    return Links(*(np.zeros(size, kinds.get(name, np.int32)) for name in Links._fields))


class Scratch:
    """Room for the frames that are being searched, shared by the searches of a thread.

    Args:
        network: That the searches have.
        tokens: That they keep at most.
    """

    def __init__(self, network: NextWords, tokens: int) -> None:
        """Makes it."""
        room = max(LEAST, 1 << (MADE * tokens - 1).bit_length())
        self.network, self.states = network, kept_states(network)
        self.tokens = _new_tokens(room)
        self.table = np.full(2 * room, -1, np.int32)  # at most half full
        self.slots = np.zeros(room, np.int32)
        self.bins = np.zeros(BINS, np.int32)
        self.links, self.kept = _new_links(LINKS * room), _new_links(LINKS * room)


@dataclass(frozen=True)
class SaidWord:
    """A word of a path.

    Attributes:
        word: Its number.
        start: Frame (40 ms) of its first phoneme, from the first that the search heard.
        end: And of its last.
        score: What it added to the logarithm of the path's score.
    """

    word: int
    start: int
    end: int
    score: float


class PhoneticSearch:
    """The search of one stream from where its recognition began.

    Args:
        tree: Pronunciations.
        lm: Trigrams of the same words.
        phrases: To favour.
        weights: How it weighs.
        scratch: Of the thread.
    """

    def __init__(self, tree: Tree, lm: Trigrams, phrases: Phrases, weights: PhoneticWeights, scratch: Scratch) -> None:
        """Starts with no audio."""
        self.tree, self.lm, self.phrases, self.weights, self._scratch = tree, lm, phrases, weights, scratch
        self._tokens, self._links = _new_tokens(weights.tokens), _new_links(1)
        self._count = 1
        self._frames, self._offset = 0, 0.0
        self._links.word[0] = -1
        self._tokens.memory[0], self._tokens.last[0], self._tokens.label[0] = -START - 1, SAID_NOTHING, NEVER

    def advance(self, log_probs: Floats) -> None:
        """Hears frames: [n, P + 1] log-probabilities, blank last."""
        w, scratch = self.weights, self._scratch
        rest = np.ascontiguousarray(log_probs, np.float32)
        while len(rest):
            linked = len(self._links.word)
            for name in Links._fields:
                getattr(scratch.links, name)[:linked] = getattr(self._links, name)
            self._count, linked, self._offset, used = advance(
                rest,
                self._frames,
                self._tokens,
                self._count,
                scratch.tokens,
                scratch.links,
                linked,
                self._offset,
                scratch.table,
                scratch.slots,
                scratch.bins,
                self.tree,
                self.lm,
                scratch.network,
                scratch.states,
                self.phrases,
                np.float32(w.lm_weight),
                np.float32(w.word_bonus),
                np.float32(w.beam),
                w.tokens,
            )
            self._frames, rest = self._frames + used, rest[used:]
            alive = compacted(scratch.links, linked, self._tokens, self._count, scratch.kept)
            self._links = Links(*(getattr(scratch.kept, name)[:alive].copy() for name in Links._fields))

    def best(self) -> list[SaidWord]:
        """Words of the likeliest token, which may be in the middle of another word."""
        return self._words(self._tokens.link[int(np.argmax(self._scores()))])

    @property
    def said(self) -> int:
        """Frames up to the latest phoneme of the likeliest token, which may be in the middle of a word."""
        k = int(np.argmax(self._scores()))
        begun = self._tokens.node[k] != ROOT or self._tokens.link[k] > 0
        return int(self._tokens.end[k]) + 1 if begun else 0

    def finals(self, count: int) -> list[tuple[float, list[SaidWord]]]:
        """Paths whose last word is over, the likeliest first, at most `count`: scores and words.

        Where no word has ended the paths are those of all tokens, without the words that they are in.
        """
        scores, tokens = self._scores(), self._tokens
        over = np.flatnonzero(tokens.node[: self._count] == ROOT)
        over = np.arange(self._count) if not len(over) else over
        found: dict[int, float] = {}
        for k in over[np.argsort(-scores[over], kind="stable")]:
            found.setdefault(int(tokens.link[k]), float(scores[k]))
            if len(found) == count:
                break
        return [(score, self._words(link)) for link, score in found.items()]

    @property
    def settled(self) -> int:
        """Leading words that all paths share: they will not change any more."""
        count, link = 0, shared(self._links, self._tokens, self._count)
        while link > 0:
            count, link = count + 1, self._links.previous[link]
        return count

    def _scores(self) -> Floats:
        tokens, n = self._tokens, self._count
        scores = np.logaddexp(tokens.label[:n], tokens.blank[:n]) - self.phrases.pending[tokens.phrase[:n]]
        return np.asarray(scores, np.float32)

    def _words(self, link: int) -> list[SaidWord]:
        found, links = [], self._links
        while link > 0:
            before = int(links.previous[link])
            score = float(links.score[link] - links.score[before])
            found.append(SaidWord(int(links.word[link]), int(links.start[link]), int(links.end[link]), score))
            link = before
        return found[::-1]
