"""The samples of one stream, cut into chunks; those since the last word can be taken again."""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.features import SAMPLE_RATE
from asr.streaming.engine import FRAME_SAMPLES

LOUDEST = 1e6  # times full scale, so that integers as floats pass; far beyond it powers overflow


class StreamBuffer:
    """Samples waiting to be recognised, and the newest that were.

    Args:
        chunk_samples: Samples of a chunk.
        block_samples: Samples of a block; the end of a stream is filled up to one with silence.
        position: Sample of the session at which the stream begins.
        ahead_samples: Samples after a chunk that come with it, as look-ahead, and again in the next.
    """

    def __init__(self, chunk_samples: int, block_samples: int, position: int = 0, ahead_samples: int = 0) -> None:
        """Starts empty."""
        self.chunk_samples, self.block_samples, self.ahead_samples = chunk_samples, block_samples, ahead_samples
        self.received = self.position = position  # samples that came, samples that were taken
        self.finished = False  # nothing more will come
        self.flushing = False  # what is there is to be taken, even if it fills no chunk
        self._waiting: deque[NDArray[np.float32]] = deque()
        self._taken: deque[tuple[int, NDArray[np.float32]]] = deque()  # with the sample each begins at

    def push(self, samples: NDArray[np.float32]) -> None:
        """Adds samples, [n] mono at 16 kHz.

        Raises:
            AsrError: for another shape or dtype, samples that are not finite or far beyond full scale, or a stream that
                was finished.
        """
        samples = np.asarray(samples)
        if samples.ndim != 1 or samples.dtype.kind != "f":
            got = f"{samples.dtype} of shape {list(samples.shape)}"
            raise AsrError(f"expected mono floating-point samples of shape [n], got {got}")
        if not np.isfinite(samples).all():
            bad = int(np.flatnonzero(~np.isfinite(samples))[0]) + self.received
            raise AsrError(f"expected finite samples, got NaN or infinity at {bad / SAMPLE_RATE:.3f} s")
        if np.abs(samples).max(initial=0.0) > LOUDEST:
            raise AsrError(f"expected samples of full scale 1, got {np.abs(samples).max():.3g}")
        if self.finished:
            raise AsrError("expected no samples after the stream was finished")
        self.received += len(samples)
        self._waiting.append(samples.astype(np.float32))

    def ready(self) -> bool:
        """Whether a chunk can be taken."""
        waiting = self.received - self.position
        return waiting >= self.chunk_samples + self.ahead_samples or ((self.finished or self.flushing) and waiting > 0)

    def take(self) -> tuple[NDArray[np.float32], int]:
        """The next chunk with its look-ahead, zeros past the end, and how many encoder frames of them to use."""
        chunk, filled = np.zeros(self.chunk_samples + self.ahead_samples, np.float32), 0
        while filled < self.chunk_samples and self._waiting:
            part = self._waiting.popleft()
            here = part[: self.chunk_samples - filled]
            chunk[filled : filled + len(here)] = here
            filled += len(here)
            if len(here) < len(part):  # a view: a long recording given in one piece is not copied for every chunk
                self._waiting.appendleft(part[len(here) :])
        self._taken.append((self.position, chunk[:filled]))
        self.position += filled
        if self.ahead_samples:
            filled += self._look_ahead(chunk[filled:])
        blocks = -(-filled // self.block_samples)
        return chunk, min(blocks * self.block_samples, len(chunk)) // FRAME_SAMPLES

    def _look_ahead(self, into: NDArray[np.float32]) -> int:
        """Copies waiting samples, which stay; returns how many there were place for."""
        filled = 0
        for part in self._waiting:
            here = part[: len(into) - filled]
            into[filled : filled + len(here)] = here
            filled += len(here)
            if filled == len(into):
                break
        return filled

    def heard(self, start: int, end: int) -> NDArray[np.float32]:
        """Samples from `start` to `end` that were taken and not forgotten."""
        parts = [part[max(0, start - at) : max(0, end - at)] for at, part in self._taken]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def rewind(self, position: int) -> None:
        """Makes the samples from `position` on the next to be taken, and forgets those before."""
        while self._taken and self.position > position:
            start, part = self._taken.pop()
            back = part[max(0, position - start) :]
            self._waiting.appendleft(back)
            self.position -= len(back)
        assert self.position <= position, "rewound to samples that were forgotten"

    def forget(self, before: int) -> None:
        """Drops taken samples before `before`, in whole chunks."""
        while self._taken and self._taken[0][0] + len(self._taken[0][1]) <= before:
            self._taken.popleft()
