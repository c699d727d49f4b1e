"""State of the exported encoder's streams: arrays of all slots, which a step reads from and writes to in place."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.features import LEFT_SAMPLES
from asr.lite.encoder import RingEncoder

Array = NDArray[np.float32]
Places = NDArray[Any]  # of integers


class RingState:
    """What M slots remember.

    Args:
        encoder: Whose state it is; programs of other chunk sizes may use it too, a slot with one of them at a time.
        slots: M.
        rings: Frames of the lower and of the upper layers' rings: the largest of those programs.
    """

    def __init__(self, encoder: RingEncoder, slots: int, rings: tuple[int, int] | None = None) -> None:
        """Every slot is new."""
        shapes = encoder.state_shapes(slots)
        self._small_count = len(shapes) - 2 * len(encoder.levels())
        largest = rings or (encoder.lower.ring, encoder.upper.ring)
        lengths = [largest[level is not encoder.lower] for level in encoder.levels() for _ in range(2)]
        self.seen = np.zeros(slots, np.int64)  # encoder frames
        self.tail = np.zeros((slots, LEFT_SAMPLES), np.float32)
        self.small = [np.zeros(shape, np.float32) for shape in shapes[: self._small_count]]
        rings_of = zip(shapes[self._small_count :], lengths, strict=True)
        self.rings = [np.zeros((*shape[:2], length, shape[3]), np.float32) for shape, length in rings_of]

    @property
    def bytes_per_slot(self) -> int:
        """Memory that a stream takes."""
        arrays: list[NDArray[Any]] = [self.seen, self.tail, *self.small, *self.rings]
        return sum(array.nbytes for array in arrays) // len(self.seen)

    def reset(self, slots: Places) -> None:
        """Makes slots new. What their rings hold is not seen any more."""
        arrays: list[NDArray[Any]] = [self.seen, self.tail, *self.small]
        for array in arrays:
            array[slots] = 0

    def keep(self, slots: Places, rows: Places, outputs: list[Any], encoder: RingEncoder, samples: Array) -> None:
        """Writes what a step gave for some of its rows.

        Args:
            slots: Of these rows.
            rows: Of the outputs.
            outputs: Of `RingEncoder.step`, without the first.
            encoder: Which step it was.
            samples: [B, n] that it heard.
        """
        self.tail[slots] = np.concatenate([self.tail[slots], samples[rows]], axis=1)[:, -LEFT_SAMPLES:]
        for array, new in zip(self.small, outputs, strict=False):
            array[slots] = new[rows]
        seen, levels = self.seen[slots], encoder.levels()
        lower = encoder.lower.chunk // encoder.upper.chunk
        places = {
            level: [(int(slot), int(row), int(first)) for slot, row, first in zip(slots, rows, starts, strict=True)]
            for level, starts in (
                (encoder.lower, encoder.lower.place(lower * seen)),
                (encoder.upper, encoder.upper.place(seen)),
            )
        }
        for i, (ring, new) in enumerate(zip(self.rings, outputs[self._small_count :], strict=True)):
            level = levels[i // 2]
            for slot, row, first in places[level]:  # copies of whole rows: faster than one of scattered ones
                ring[slot, :, first : first + level.chunk] = new[row]
        self.seen[slots] += encoder.upper.chunk


@dataclass(frozen=True)
class RingRows:
    """Slots of a state, one for each row of a step.

    Attributes:
        state: Of all slots.
        slots: [B] numbers of slots. Those of rows that have a chunk differ.
    """

    state: RingState
    slots: Places
