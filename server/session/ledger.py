"""The audio that a session may need again."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz, of all audio behind the decoders
PIECE_SAMPLES = 5 * SAMPLE_RATE  # of a message when audio is sent again
LEAST_SAMPLES = SAMPLE_RATE  # room that is never given back

Samples = NDArray[np.float32]


class AudioLedger:
    """Samples from `start` to `end`, counted at 16 kHz from the session's first.

    They lie in one buffer that grows and shrinks with them: of a client that sends single samples, a list of what
    came would take a hundred times the memory of the audio, and a search for each frame.
    """

    def __init__(self) -> None:
        """Starts empty."""
        self.start = self.end = 0
        self._buffer: Samples = np.empty(0, np.float32)
        self._first = 0  # where `start` is in the buffer

    def append(self, samples: Samples) -> None:
        """Adds the newest samples, [N]."""
        last = self._first + self.end - self.start
        if last + len(samples) > len(self._buffer):
            self._move(2 * (self.end - self.start + len(samples)))
            last = self.end - self.start
        self._buffer[last : last + len(samples)] = samples
        self.end += len(samples)

    def forget(self, before: int) -> None:
        """Drops the samples before this one; those that are gone already are no matter.

        Raises:
            ValueError: for samples that never came.
        """
        if before > self.end:
            raise ValueError(f"expected to forget at most {self.end} samples, got {before}")
        if before > self.start:
            self._first += before - self.start
            self.start = before
            held = self.end - self.start
            if len(self._buffer) > max(LEAST_SAMPLES, 4 * held):
                self._move(2 * held)

    def between(self, start: int, end: int) -> Iterator[Samples]:
        """The samples from `start` on and before `end`, in pieces of at most `PIECE_SAMPLES`.

        Use each before the ledger changes: it is a view.
        """
        start, end = max(start, self.start), min(end, self.end)
        offset = self._first - self.start
        for first in range(start, end, PIECE_SAMPLES):
            yield self._buffer[offset + first : offset + min(first + PIECE_SAMPLES, end)]

    def _move(self, room: int) -> None:
        """Takes a buffer of another size."""
        held = self._buffer[self._first : self._first + self.end - self.start]
        self._buffer = np.empty(max(LEAST_SAMPLES, room), np.float32)
        self._buffer[: len(held)] = held
        self._first = 0
