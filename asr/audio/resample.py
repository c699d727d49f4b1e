"""Streaming resampling to 16 kHz mono."""

import numpy as np
import soxr
from numpy.typing import ArrayLike, NDArray

from asr.audio.errors import AudioError

TARGET_RATE = 16_000  # Hz
MIN_RATE, MAX_RATE = 4_000, 192_000  # Hz

Samples = NDArray[np.float32]


class StreamResampler:
    """Resamples a stream; any cut of the input gives the same output as the whole.

    Args:
        rate_in: Samples per second of the input, 4000 to 192000.
        rate_out: Samples per second of the output, in the same range.

    Raises:
        AudioError: for a rate out of range.
    """

    def __init__(self, rate_in: int, rate_out: int = TARGET_RATE) -> None:
        """Starts a stream."""
        for rate in (rate_in, rate_out):
            if not MIN_RATE <= rate <= MAX_RATE:
                raise AudioError(f"expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, got {rate}")
        self.rate_in, self.rate_out = rate_in, rate_out
        self._stream = None if rate_in == rate_out else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")
        self._received = self._returned = 0
        self._ended = False

    def push(self, samples: ArrayLike) -> Samples:
        """Takes the next samples and returns what they complete.

        Args:
            samples: [n] or [n, channels], floating point, full scale = 1. Channels are averaged.

        Returns:
            [m] float32 at the output's rate, an array of its own.

        Raises:
            AudioError: for another shape, or integers, whose full scale is not told.
            RuntimeError: after `flush`.
        """
        if self._ended:
            raise RuntimeError("expected no samples after flush, which ends the stream: start another")
        given = np.asarray(samples)
        if not np.issubdtype(given.dtype, np.floating):
            raise AudioError(f"expected floating-point samples in [-1, 1], got {given.dtype}")
        mono = np.array(given, np.float32)
        if mono.ndim == 2 and mono.shape[1] > 0:
            mono = mono.mean(axis=1)  # [n, channels] → [n]
        if mono.ndim != 1:
            raise AudioError(f"expected samples of shape [n] or [n, channels], got {list(mono.shape)}")
        self._received += len(mono)
        if self._stream is None:
            return mono
        out = np.asarray(self._stream.resample_chunk(np.ascontiguousarray(mono)), np.float32)
        self._returned += len(out)
        return out

    def flush(self) -> Samples:
        """The rest, so that n samples have become round(n · rate_out / rate_in) in all. Ends the stream.

        Raises:
            RuntimeError: if called again.
        """
        if self._ended:
            raise RuntimeError("expected one flush, which ends the stream: start another")
        self._ended = True
        if self._stream is None:
            return np.zeros(0, np.float32)
        out = np.asarray(self._stream.resample_chunk(np.zeros(0, np.float32), last=True), np.float32)
        missing = max(0, round(self._received * self.rate_out / self.rate_in) - self._returned)
        return np.pad(out[:missing], (0, max(0, missing - len(out))))
