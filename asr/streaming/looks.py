"""Where the model looked: the block attention of a stream, block by block, for pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.streaming.engine import FRAME_MS

OF_BLOCKS = ("labels", "weights", "done")  # what the engine tells of each


@dataclass(frozen=True)
class BlockLook:
    """What the joint attended to in one block.

    Letters: U labels of the block, H heads, K frames of 80 ms: the window before the block, and the block.

    Attributes:
        start_ms: Where the block begins in the stream.
        end_ms: Where it ends, which is where the last of the K frames ends.
        labels: U wordpieces.
        weights: [U, H, K] float32, each row's sum at most 1; zero on frames from before the stream or its restart.
        end_probability: Probability of end-of-block after the last label: that the block has no more.
    """

    start_ms: int
    end_ms: int
    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    end_probability: float


class Looks:
    """Where one stream's model looked: of the blocks that were read, what the best hypothesis attended to.

    With a beam another hypothesis may become the best: the blocks in which it said something else are then told again.

    Args:
        texts: Wordpieces by number.
        block: Frames of a block.
    """

    def __init__(self, texts: Sequence[str], block: int) -> None:
        """Starts with no block."""
        self._texts, self._block = texts, block
        self._pending: dict[tuple[int, int], BlockLook] = {}  # by restarts before and number of the block since
        self._restarts = -1
        self.restart()

    def restart(self) -> None:
        """The decoder's state starts anew: what was read is settled."""
        self._restarts += 1
        self._settled = 0  # leading blocks that all hypotheses share
        self._paths: list[list[BlockLook]] = [[]]  # of each hypothesis, the blocks after those
        self._told: list[BlockLook] = []  # of the best one

    def accept(self, row: Mapping[str, NDArray[Any]], start_ms: int, used: int) -> None:
        """Adds the blocks of a chunk.

        Args:
            row: One row of the engine's outputs: labels [N, M], weights [N, M, H, K] and done [N] of N blocks, or with
                an axis of hypotheses after N, and their parents.
            start_ms: Start of the chunk.
            used: Frames of the chunk that were used; blocks after them do not count.
        """
        for n in range(used // self._block):
            block = {name: row[name][n] if "parents" in row else row[name][n][None] for name in OF_BLOCKS}
            parents = row["parents"][n].tolist() if "parents" in row else [0]
            begin = start_ms + n * self._block * FRAME_MS
            self._paths = [
                [*self._paths[parent], self._look({name: x[k] for name, x in block.items()}, begin)]
                for k, parent in enumerate(parents)
                if parent >= 0
            ]
        self._tell()

    def take(self) -> list[BlockLook]:
        """Blocks that are new or have changed since the last call, each once, in the order in which they were read."""
        looks = list(self._pending.values())
        self._pending.clear()
        return looks

    def _look(self, block: Mapping[str, NDArray[Any]], start_ms: int) -> BlockLook:
        labels = tuple(self._texts[label] for label in block["labels"].tolist() if label >= 0)
        weights = np.array(block["weights"][: len(labels)])  # a copy: the row is a view of the whole batch's
        return BlockLook(start_ms, start_ms + self._block * FRAME_MS, labels, weights, float(block["done"]))

    def _tell(self) -> None:
        """Notes what is new in the best hypothesis, and forgets what no other one can change."""
        best = self._paths[0]
        for i, look in enumerate(best):
            if i >= len(self._told) or look is not self._told[i]:
                self._pending[self._restarts, self._settled + i] = look
        shared = 0
        while shared < len(best) and all(path[shared] is best[shared] for path in self._paths):
            shared += 1
        self._settled += shared
        self._paths = [path[shared:] for path in self._paths]
        self._told = self._paths[0]
