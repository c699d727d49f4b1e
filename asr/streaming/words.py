"""One stream's labels as events: partial texts, and segments that end at pauses."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.decoding.hypotheses import Hypotheses
from asr.decoding.words import Label, WordRule, words_of
from asr.features import SAMPLE_RATE
from asr.streaming.engine import FRAME_MS
from asr.streaming.events import Alternative, Event, Final, Partial
from asr.streaming.pauses import is_quiet, quietest
from asr.tokenizer import Tokenizer
from asr.transcript import segment_of

SHORTEST_PAUSE_MS = 160
WORDLESS_MS = 5_000  # without words for so long, recognition restarts
NOISY_PAUSES = 2  # pauses without words are one, however loud
OVERLAP_MS = 640  # of audio heard again then: a word may just have begun


class StreamWords:
    """Labels of a stream as events; it keeps those of the open segment only.

    Args:
        tokenizer: Wordpieces.
        silence_ms: Silence after a word that ends a segment; 0: only the stream's end does.
        start_ms: Session time at which the first segment begins.
        segment: Number of its first segment.
        rule: How the model's labels become times and confidences.
        heard: The samples between two session times, not before `needed_ms`; None: all is quiet.
        hypotheses: Takes the engine's outputs; None: as of a search whose labels these are.
        begun_ms: Audio recognised when the first segment was known to begin; until then outputs are only kept.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        silence_ms: int,
        start_ms: int = 0,
        segment: int = 0,
        rule: WordRule | None = None,
        heard: Callable[[int, int], NDArray[np.float32]] | None = None,
        hypotheses: Hypotheses | None = None,
        begun_ms: int = 0,
    ) -> None:
        """Starts with no words."""
        self.tokenizer, self.silence_ms, self.rule = tokenizer, silence_ms, rule or WordRule()
        self._heard = heard or _silence
        self.number = segment  # of the open segment
        self._hypotheses, self._begun_ms = hypotheses or Hypotheses(FRAME_MS), begun_ms
        self._start_ms = self._last_ms = start_ms  # of the segment; of the latest frame that a label attended to
        self.needed_ms = start_ms  # no restart reaches back before it
        self._ended_ms = start_ms  # end of the latest segment's last word
        self._last = "", 0  # text and stable characters of the latest partial

    def accept(self, out: Mapping[str, NDArray[Any]], start_ms: int, audio_ms: int) -> tuple[list[Event], int | None]:
        """Adds the labels of one chunk.

        Args:
            out: One row of the engine's outputs: see `Hypotheses.accept`.
            start_ms: Start of the chunk.
            audio_ms: Audio recognised with this chunk.

        Returns:
            A `Partial` if the text changed, a `Final` if a pause ended the segment; and, if another segment begins, the
            time at which it does: from there on recognition hears the audio again, unless `Hypotheses.goes_on`.
        """
        if audio_ms <= self._begun_ms:
            self._hypotheses.listen(out, start_ms)
            return [], None
        self._hypotheses.accept(out, start_ms, self._start_ms)
        self._last_ms = max(self._start_ms, self._hypotheses.said_until_ms - FRAME_MS)
        restart_ms = self._restart_ms(audio_ms)
        if restart_ms is not None:
            restart_ms = max(restart_ms, self.needed_ms)
            return self.finish(audio_ms, restart_ms), restart_ms
        self.needed_ms = max(self.needed_ms, self._earliest_restart_ms(audio_ms))
        self._hypotheses.forget(self.needed_ms)
        text, stable = self._text(self._labels), self._stable()
        if (text, stable) == self._last:
            return [], None
        self._last = text, stable
        return [Partial(self.number, text, stable, audio_ms)], None

    @property
    def _labels(self) -> list[Label]:
        return self._hypotheses.best

    def _text(self, labels: list[Label]) -> str:
        return self.tokenizer.decode([label.piece for label in labels])

    def _stable(self) -> int:
        """Characters that will not change: words that all hypotheses share, but for the last, which may grow."""
        text = self._text(self._labels[: self._hypotheses.settled])
        return max(0, text.rfind(" "))

    def _restart_ms(self, audio_ms: int) -> int | None:
        """Where the next segment begins, if the open one ends now."""
        if not self.silence_ms:
            return None
        if not self._labels:
            wordless = audio_ms - self._start_ms >= max(WORDLESS_MS, self.silence_ms + 2 * OVERLAP_MS)
            return audio_ms - OVERLAP_MS if wordless else None
        ended_ms, length_ms = self._last_ms + FRAME_MS, audio_ms - self._start_ms
        first_ms, last_ms = self._hypotheses.patience_ms, self._hypotheses.longest_ms
        patience = min(1.0, max(0.0, (last_ms - length_ms) / (last_ms - first_ms)))
        pause_ms = max(min(self.silence_ms, SHORTEST_PAUSE_MS), round(self.silence_ms * patience))
        wordless_ms, until_ms = audio_ms - ended_ms, min(audio_ms, ended_ms + pause_ms)
        if wordless_ms >= NOISY_PAUSES * pause_ms or (wordless_ms >= pause_ms and self._is_quiet(ended_ms, until_ms)):
            # A word that was not recognised is not cut, and one that has just begun is heard whole.
            start_ms = min(ended_ms, audio_ms)
            return start_ms + 1000 * quietest(self._heard(start_ms, until_ms)) // SAMPLE_RATE
        return self._without_last_word(ended_ms) if patience == 0.0 else None

    def _is_quiet(self, ended_ms: int, until_ms: int) -> bool:
        """Whether what follows the last word sounds like a pause."""
        starts = [label.start_ms for label in self._labels if self.tokenizer.starts_word(label.piece)]
        word_ms = min((starts or [self._start_ms])[-1], ended_ms - FRAME_MS)
        return is_quiet(self._heard(word_ms, ended_ms), self._heard(ended_ms, until_ms))

    def _without_last_word(self, ended_ms: int) -> int:
        """Takes the latest word out of the segment, which may go on; returns where to hear it again."""
        starts = [i for i, label in enumerate(self._labels) if self.tokenizer.starts_word(label.piece)]
        if not starts or starts[-1] == 0:
            return min(ended_ms, self._labels[-1].until_ms(FRAME_MS)) if self._labels else ended_ms
        place = max(self._labels[starts[-1]].start_ms - FRAME_MS, self._labels[starts[-1] - 1].start_ms + FRAME_MS)
        self._hypotheses.cut(starts[-1])
        return min(place, ended_ms)

    def _earliest_restart_ms(self, audio_ms: int) -> int:
        """Where the segment would end first, whatever comes next."""
        if not self.silence_ms:
            return audio_ms
        if not self._labels:
            return audio_ms - OVERLAP_MS
        starts = [label.start_ms for label in self._labels if self.tokenizer.starts_word(label.piece)]
        return (starts or [self._start_ms])[-1] - FRAME_MS

    def finish(self, audio_ms: int, restart_ms: int | None = None) -> list[Event]:
        """Ends the segment: a `Final` if it has words. The next one begins at `restart_ms`, without it at once."""
        self._hypotheses.close(self._start_ms, restart_ms)
        words = words_of(self._labels, self.tokenizer, FRAME_MS, self._ended_ms, audio_ms, self.rule)
        alternatives = self._alternatives(" ".join(w.word for w in words))
        self._hypotheses.clear()
        self._last = "", 0
        self._start_ms = self._last_ms = self.needed_ms = audio_ms if restart_ms is None else restart_ms
        if not words:
            return []
        final = Final(self.number, segment_of(words), audio_ms, alternatives)
        self.number, self._ended_ms = self.number + 1, final.result.end_ms
        return [final]

    def _alternatives(self, text: str) -> tuple[Alternative, ...]:
        """Readings other than `text`; hypotheses that read the same are one."""
        shares = np.exp(self._hypotheses.scores)
        found: dict[str, float] = {}
        for labels, share in zip(self._hypotheses.others, shares[1:], strict=True):
            other = self._text(labels)
            found[other] = found.get(other, 0.0) + float(share / shares.sum())
        ordered = sorted(found.items(), key=lambda item: -item[1])
        return tuple(Alternative(other, confidence) for other, confidence in ordered if other not in ("", text))


def _silence(start_ms: int, end_ms: int) -> NDArray[np.float32]:
    return np.zeros((end_ms - start_ms) * SAMPLE_RATE // 1000, np.float32)
