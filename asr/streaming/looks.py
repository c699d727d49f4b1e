"""Where the model looked: the block attention of a stream, block by block, for pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.streaming.engine import FRAME_MS


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


def looks_of(
    row: Mapping[str, NDArray[Any]], start_ms: int, block: int, used: int, texts: Sequence[str]
) -> list[BlockLook]:
    """The blocks of a chunk.

    Args:
        row: One row of the engine's outputs; a beam search's has no weights, and gives no looks.
        start_ms: Start of the chunk.
        block: Frames of a block.
        used: Frames of the chunk that were used; blocks after them do not count.
        texts: Wordpieces by number.
    """
    if "weights" not in row:
        return []
    looks = []
    for n in range(used // block):
        labels = [int(label) for label in row["labels"][n] if label >= 0]
        start = start_ms + n * block * FRAME_MS
        weights = np.array(row["weights"][n][: len(labels)])  # a copy: the row is a view of the whole batch's
        pieces = tuple(texts[label] for label in labels)
        looks.append(BlockLook(start, start + block * FRAME_MS, pieces, weights, float(row["done"][n])))
    return looks
