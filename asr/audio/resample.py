"""Streaming resampling to 16 kHz mono."""

import numpy as np
import soxr
from numpy.typing import NDArray

from asr.audio.errors import AudioError

TARGET_RATE = 16_000  # Hz
MIN_RATE, MAX_RATE = 4_000, 192_000  # Hz


class StreamResampler:
    """Resamples a stream; any cut of the input gives the same output as the whole.

    Args:
        rate_in: Samples per second of the input, 4000 to 192000.
        rate_out: Samples per second of the output.

    Raises:
        AudioError: for a rate out of range.
    """

    def __init__(self, rate_in: int, rate_out: int = TARGET_RATE) -> None:
        """Starts a stream."""
        if not MIN_RATE <= rate_in <= MAX_RATE:
            raise AudioError(f"expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, got {rate_in}")
        self.rate_in, self.rate_out = rate_in, rate_out
        self._stream = None if rate_in == rate_out else soxr.ResampleStream(rate_in, rate_out, 1, dtype="float32")
        self._received = self._returned = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Takes samples, [n] or [n, channels], and returns what they complete, [m] at the output's rate.

        Channels are averaged.

        Raises:
            AudioError: for another shape.
        """
        samples = np.asarray(samples, np.float32)
        if samples.ndim == 2 and samples.shape[1] > 0:
            samples = samples.mean(axis=1)
        if samples.ndim != 1:
            raise AudioError(f"expected samples of shape [n] or [n, channels], got {list(samples.shape)}")
        self._received += len(samples)
        if self._stream is None:
            return samples
        out = self._stream.resample_chunk(np.ascontiguousarray(samples))
        self._returned += len(out)
        return np.asarray(out, np.float32)

    def flush(self) -> NDArray[np.float32]:
        """The rest, so that n samples have become round(n x rate_out / rate_in) in all. Ends the stream."""
        if self._stream is None:
            return np.zeros(0, np.float32)
        out = np.asarray(self._stream.resample_chunk(np.zeros(0, np.float32), last=True), np.float32)
        missing = round(self._received * self.rate_out / self.rate_in) - self._returned
        self._stream = None
        return np.pad(out[:missing], (0, max(0, missing - len(out))))
