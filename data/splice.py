"""New sentences from recorded words: runs of words of one speaker, cut out of their recordings and joined.

Aligned data augmentation (Lam et al. 2021, "On-the-fly aligned data augmentation for sequence-to-sequence ASR",
2104.01393) with runs of words instead of single ones. A model that hears the same few sentences again and again learns
them by heart; in spliced ones the words can only be heard.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.manifest import Utterance

Frames = NDArray[np.float32]
Spans = Sequence[tuple[int, int]]  # first frame and end of each word of an utterance


@dataclass(frozen=True)
class Part:
    """Frames of a recording.

    Attributes:
        source: Id of its utterance.
        start: First frame.
        stop: End.
    """

    source: str
    start: int
    stop: int


@dataclass(frozen=True)
class Spliced:
    """A made-up utterance.

    Attributes:
        frames: [t, bins] log-mel.
        text: What is said in it.
        parts: Where its frames are from, in order.
    """

    frames: Frames
    text: str
    parts: tuple[Part, ...]


class Splicer:
    """Makes utterances out of others of the same speaker.

    Args:
        utterances: Training utterances with transcripts.
        spans: Word spans of those that were aligned, by id: as many as the transcript has words, in log-mel frames.
        features: Frames of an utterance by its id, [t, bins].
        words: Mean length of a run of words.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        spans: Mapping[str, Spans],
        features: Callable[[str], Frames],
        words: float,
    ) -> None:
        """Sorts the utterances by speaker."""
        self._spans, self._features, self._words = spans, features, words
        self._texts = {u.id: u.transcript.split() for u in utterances if u.id in spans}
        self._speakers = {u.id: u.speaker for u in utterances if u.id in spans}
        self._pools: dict[str, list[str]] = defaultdict(list)
        for name, speaker in self._speakers.items():
            self._pools[speaker].append(name)

    def __call__(self, name: str, rng: np.random.Generator) -> Spliced | None:
        """An utterance about as long as `name`, by its speaker, never longer; None if that one was not aligned.

        A speaker of a single utterance says its own runs in another order.
        """
        if name not in self._spans:
            return None
        room = self._spans[name][-1][1]
        pool = self._pools[self._speakers[name]]
        parts: list[Part] = []
        words: list[str] = []
        for _ in range(4 * len(self._texts[name])):  # bounded: runs that do not fit are passed over
            source = pool[int(rng.integers(len(pool)))]
            spans, text = self._spans[source], self._texts[source]
            first = int(rng.integers(len(text)))
            end = min(len(text), first + int(rng.geometric(1.0 / self._words)))
            start, stop = spans[first][0], spans[end - 1][1]
            if stop - start > room:
                if room < 40:  # less than 0.4 s is left: no word fits
                    break
                continue
            parts.append(Part(source, start, stop))
            words += text[first:end]
            room -= stop - start
        if not parts:
            return None
        frames = np.concatenate([self._features(p.source)[p.start : p.stop] for p in parts])
        return Spliced(frames, " ".join(words), tuple(parts))
