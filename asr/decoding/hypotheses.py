"""What a stream's decoder has said in the open segment: the best hypothesis, the others, and what they share."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from asr.decoding.words import Label

Row = Mapping[str, NDArray[Any]]
"""One row of the engine's outputs: `asr.streaming.engine.Engine.step`."""


PATIENCE_MS = 20_000
LONGEST_MS = 40_000


class Hypotheses:
    """The labels of one stream's hypotheses, block after block. Greedy decoding has one hypothesis.

    Args:
        frame_ms: Length of an encoder frame.

    Attributes:
        patience_ms: A segment as long as this ends at shorter and shorter pauses.
        longest_ms: And one as long as this before its latest word.
        goes_on: Whether a segment can begin with outputs that came before it was known to: the encoder's state need
            not start anew, and nothing is heard again.
    """

    patience_ms, longest_ms, goes_on = PATIENCE_MS, LONGEST_MS, False

    def __init__(self, frame_ms: int) -> None:
        """Starts without labels."""
        self.frame_ms = frame_ms
        self.clear()

    def clear(self) -> None:
        """Starts a segment: the decoder's state started anew, or goes on."""
        self._all: list[list[Label]] = [[]]
        self.scores: list[float] = [0.0]  # log-probability of each less the best's

    @property
    def best(self) -> list[Label]:
        """Labels of the likeliest hypothesis."""
        return self._all[0]

    @property
    def others(self) -> list[list[Label]]:
        """Labels of the other hypotheses, the likeliest first."""
        return self._all[1:]

    @property
    def settled(self) -> int:
        """Leading labels that all hypotheses share: they will not change any more."""
        count = min(len(labels) for labels in self._all)
        for i, label in enumerate(self.best[:count]):
            if any(labels[i].piece != label.piece for labels in self.others):
                return i
        return count

    def accept(self, row: Row, start_ms: int, earliest_ms: int) -> None:
        """Adds the labels of a chunk.

        Args:
            row: Labels [blocks, M] or [blocks, K, M] (-1: none), log_probs and frames of the same shape; with K,
                also parents [blocks, K] (-1: none) and scores [blocks, K].
            start_ms: Start of the chunk.
            earliest_ms: No label is placed before.
        """
        for n in range(len(row["labels"])):
            block = {name: row[name][n] for name in ("labels", "log_probs", "frames")}
            if "parents" not in row:
                self.best.extend(self._labels(block, start_ms, earliest_ms))
                continue
            parents = row["parents"][n]
            found = [
                self._all[parent] + self._labels({name: x[k] for name, x in block.items()}, start_ms, earliest_ms)
                for k, parent in enumerate(parents)
                if parent >= 0
            ]
            if found:  # a block past the stream's end has none
                self._all = found
                self.scores = [float(s) for s, parent in zip(row["scores"][n], parents, strict=True) if parent >= 0]

    def listen(self, row: Row, start_ms: int) -> None:
        """Outputs of a chunk from before the segment is known to begin, which may yet be of it; as `accept`."""

    def forget(self, before_ms: float) -> None:
        """No segment begins before this time: outputs that were kept for one are not needed."""

    @property
    def said_until_ms(self) -> int:
        """End of the frame that the latest label attended to; 0: there is none."""
        return max((label.start_ms + self.frame_ms for label in self.best), default=0)

    def close(self, earliest_ms: int, until_ms: int | None) -> None:
        """Nothing more comes; all hypotheses are told of already, and no label lies past a restart."""

    def cut(self, count: int) -> None:
        """Leaves only the best hypothesis, and of it the first `count` labels."""
        self._all, self.scores = [self.best[:count]], [0.0]

    def _labels(self, block: Row, start_ms: int, earliest_ms: int) -> list[Label]:
        columns = (block[name].tolist() for name in ("labels", "log_probs", "frames"))
        return [
            Label(piece, max(earliest_ms, start_ms + frame * self.frame_ms), log_prob)
            for piece, log_prob, frame in zip(*columns, strict=True)
            if piece >= 0
        ]
