"""What the phonetic search of a stream has said in the open segment, as wordpieces with times."""

import math
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from asr.decoding.hypotheses import Hypotheses, Row
from asr.decoding.phonetic import PhoneticSearch, SaidWord
from asr.decoding.phonetic_types import Floats
from asr.decoding.words import Label
from asr.tokenizer import Tokenizer

READINGS = 16  # of a segment that has ended, at most
# A segment that ends within a sentence costs words; this search errs no more at its end than at its start. Joined to
# ten minutes, dev has 12.8 % WER with these, 13.4 with those of the other searches, 12.9 if only pauses end segments.
PATIENCE_MS = 60_000
LONGEST_MS = 120_000


class PhoneticHypotheses(Hypotheses):
    """Those of a search that hears phonemes.

    While the segment is open there is one hypothesis; others, and the words of the best whose last is surely over, come
    with `close`. A segment begins in what was heard already.

    Args:
        begin: Makes the search of a segment.
        words: Texts by number, those of phrases behind the language model's.
        tokenizer: Spells them.
        frame_ms: Length of an encoder frame, of which the search hears two.
    """

    patience_ms, longest_ms, goes_on = PATIENCE_MS, LONGEST_MS, True

    def __init__(
        self, begin: Callable[[], PhoneticSearch], words: Sequence[str], tokenizer: Tokenizer, frame_ms: int
    ) -> None:
        """Starts without words."""
        self._begin, self._texts, self._tokenizer, self._phone_ms = begin, words, tokenizer, frame_ms // 2
        self._spelt: dict[int, list[int]] = {}  # a word is asked for again with every chunk of its segment
        self._heard: deque[tuple[int, Floats]] = deque()  # phonemes of chunks, with the time each begins at
        super().__init__(frame_ms)

    def clear(self) -> None:
        """Starts a segment, with what was heard and not forgotten."""
        super().clear()
        self._search: PhoneticSearch | None = None
        self._spelt.clear()
        self._start_ms = self._until_ms = self._settled = 0

    @property
    def settled(self) -> int:
        """Leading labels that all paths of the search share: they will not change any more."""
        return self._settled

    @property
    def said_until_ms(self) -> int:
        """End of the latest phoneme: a word may have begun that is not over."""
        return self._until_ms

    def accept(self, row: Row, start_ms: int, earliest_ms: int) -> None:
        """Hears the phonemes of a chunk, the first of a segment with those from its start on that came before.

        Args:
            row: With "phonemes" [blocks, 2W, P + 1] and "heard" [blocks].
            start_ms: Start of the chunk.
            earliest_ms: Start of the segment; no word is placed before.
        """
        self.listen(row, start_ms)
        if self._search is None:
            self._search = self._begun(earliest_ms)
        else:
            self._search.advance(self._heard[-1][1])
        words = self._search.best()
        self._all, self.scores = [self._spelled(words, earliest_ms)], [0.0]
        self._until_ms = self._start_ms + self._search.said * self._phone_ms
        self._settled = sum(len(self._pieces(said.word)) for said in words[: self._search.settled])

    def listen(self, row: Row, start_ms: int) -> None:
        """Keeps the phonemes of a chunk: see `accept`."""
        heard = row["phonemes"][np.asarray(row["heard"], bool)]  # a copy: the row is a view of the whole batch's
        self._heard.append((start_ms, heard.reshape(-1, heard.shape[-1])))

    def forget(self, before_ms: float) -> None:
        """Drops what was heard before, in whole chunks."""
        while self._heard and self._heard[0][0] + len(self._heard[0][1]) * self._phone_ms <= before_ms:
            self._heard.popleft()

    def _begun(self, earliest_ms: int) -> PhoneticSearch:
        """A segment's search, which has heard all that came since the segment's start."""
        first_ms = self._heard[0][0]
        self._start_ms = first_ms + self._phone_ms * self._before(earliest_ms, first_ms)
        search = self._begin()
        search.advance(np.concatenate([heard[self._before(self._start_ms, at) :] for at, heard in self._heard]))
        return search

    def _before(self, time_ms: int, at_ms: int) -> int:
        """Frames that begin before a time, of those from `at_ms` on."""
        return max(0, -(-(time_ms - at_ms) // self._phone_ms))

    def close(self, earliest_ms: int, until_ms: int | None) -> None:
        """Nothing more comes: words that are not over do not count, and other readings are told.

        Args:
            earliest_ms: No word is placed before.
            until_ms: Words that are not over then do not count: they will be heard again; None: nothing will.
        """
        if self._search is None and until_ms is None and self._heard:
            self._search = self._begun(earliest_ms)  # it ends with the chunk with which it was known to begin
        if self._search is None:
            return
        finals = self._search.finals(READINGS)
        frames = math.inf if until_ms is None else (until_ms - self._start_ms) / self._phone_ms
        self._all = [self._spelled([w for w in words if w.end < frames], earliest_ms) for _, words in finals]
        self.scores = [score - finals[0][0] for score, _ in finals]

    def cut(self, count: int) -> None:
        """Leaves only the best hypothesis, and of it the first `count` labels, until the segment's end."""
        super().cut(count)
        self._search = None

    def _pieces(self, word: int) -> list[int]:
        if word not in self._spelt:
            self._spelt[word] = self._tokenizer.encode(self._texts[word])
        return self._spelt[word]

    def _spelled(self, words: Sequence[SaidWord], earliest_ms: int) -> list[Label]:
        labels = []
        for said in words:
            pieces = self._pieces(said.word)
            start_ms = max(earliest_ms, self._start_ms + said.start * self._phone_ms)
            end_ms = max(start_ms, self._start_ms + (said.end + 1) * self._phone_ms)
            shares = len(self._texts[said.word]) + 1  # phonemes, nearly, and the word itself
            log_prob = min(0.0, said.score / shares)
            share = (end_ms - start_ms) / len(pieces)
            labels += [
                Label(piece, round(start_ms + k * share), log_prob, round(start_ms + (k + 1) * share))
                for k, piece in enumerate(pieces)
            ]
        return labels
