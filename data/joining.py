"""Utterances behind each other with pauses between, as a long recording has them.

A model that has only heard utterances one by one knows how they begin, from silence at the start of a block, and not
how they go on. Each pause is a stretch of the recording after it, its quietest: the room as it sounds there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.splice import Part

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Joined:
    """What is heard in place of one utterance.

    Attributes:
        sources: Ids of the utterances, in order.
        pauses: Frames of the pause before each, no more than it has itself.
    """

    sources: tuple[str, ...]
    pauses: tuple[int, ...]


def runs(
    lengths: Sequence[int], share: float, pause: int, longest: int, rng: np.random.Generator
) -> list[tuple[list[int], list[int]]]:
    """Distributes utterances over rows, each once, in a random order.

    Args:
        lengths: Frames of each.
        share: Of the rows, those that begin with a pause and go on with others up to a random length.
        pause: Most frames of a pause; an utterance that is shorter has one as long as it is.
        longest: Most frames of such a row.
        rng: Generator.

    Returns:
        Of each row the places in `lengths` that follow each other, and the frames of the pause before each.
    """
    found: list[tuple[list[int], list[int]]] = []
    order = [int(i) for i in rng.permutation(len(lengths))]
    while order:
        first = order.pop()
        row, pauses = [first], [0]
        if rng.random() < share:
            room = int(rng.integers(lengths[first], max(longest, lengths[first]) + 1)) - lengths[first]
            pauses = [min(int(rng.integers(pause + 1)), lengths[first], room)]
            room -= pauses[0]
            while order:
                before = min(int(rng.integers(pause + 1)), lengths[order[-1]])
                room -= before + lengths[order[-1]]
                if room < 0:
                    break
                row.append(order.pop())
                pauses.append(before)
        found.append((row, pauses))
    return found


def parts_of(joined: Joined, features: Callable[[str], Frames]) -> tuple[Part, ...]:
    """Where the frames of a joined utterance are from.

    Args:
        joined: What follows what.
        features: Frames of an utterance by its id, [t, bins] log-mel.
    """
    parts = []
    for name, pause in zip(joined.sources, joined.pauses, strict=True):
        frames = features(name)
        if pause:
            start = _quietest(frames, pause)
            parts.append(Part(name, start, start + pause))
        parts.append(Part(name, 0, len(frames)))
    return tuple(parts)


def _quietest(frames: Frames, count: int) -> int:
    """First of the `count` frames in a row with the least energy, by the mean of their logarithms."""
    sums = np.concatenate([[0.0], np.cumsum(frames.mean(axis=1, dtype=np.float64))])
    return int(np.argmin(sums[count:] - sums[:-count]))
