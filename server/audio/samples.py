"""Bare samples, as they arrive, to 16 kHz."""

import numpy as np
import soxr
from numpy.typing import NDArray

from server.audio.errors import AudioError
from server.wire import Encoding, pcm

TARGET_RATE = 16_000  # Hz
MIN_RATE, MAX_RATE = 8_000, 48_000  # Hz, as in `Start.sample_rate`
LOUDEST = 1e4  # of floats, full scale being 1; what lies beyond is no audio and overflows further on


class SampleDecoder:
    """PCM and G.711 of one channel, cut at any byte; the same samples come out however it is cut.

    Args:
        encoding: What the bytes are, not a container.
        sample_rate: Hertz.

    Raises:
        AudioError: for a container, or a rate out of range.
    """

    blocking = False

    def __init__(self, encoding: Encoding, sample_rate: int) -> None:
        """Starts without audio."""
        if encoding not in pcm.BYTES_PER_SAMPLE:
            raise AudioError(f"expected one of {', '.join(pcm.BYTES_PER_SAMPLE)}, got {encoding}")
        if not MIN_RATE <= sample_rate <= MAX_RATE:
            raise AudioError(f"expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, got {sample_rate}")
        self._encoding, self._rate = encoding, sample_rate
        self._width = pcm.BYTES_PER_SAMPLE[encoding]
        self._cut = b""  # the beginning of a sample
        self._resampler = (
            None if sample_rate == TARGET_RATE else soxr.ResampleStream(sample_rate, TARGET_RATE, 1, dtype="float32")
        )
        self._returned = 0  # samples at 16 kHz
        self.samples = self.received_bytes = 0

    def decode(self, data: bytes) -> NDArray[np.float32]:
        """Decodes the next bytes.

        Returns:
            [N] at 16 kHz; the resampler keeps some milliseconds back.

        Raises:
            AudioError: for floats that are no audio.
        """
        self.received_bytes += len(data)
        data = self._cut + data
        whole = len(data) // self._width * self._width
        self._cut = data[whole:]
        samples = pcm.decode(data[:whole], self._encoding)
        sound = samples[: sound_length(samples)] if self._encoding is Encoding.F32LE else samples
        self.samples += len(sound)
        converted = self._count(sound if self._resampler is None else self._resampler.resample_chunk(sound))
        if len(sound) < len(samples):
            error = no_sound(samples[len(sound)], self.samples / self._rate)
            error.samples = np.concatenate([converted, self.finish()])
            raise error
        return converted

    def finish(self) -> NDArray[np.float32]:
        """The resampler's rest, so that n samples have become round(n · 16000 / rate) in all, [N].

        Half a sample at the very end is no audio, and is left.
        """
        if self._resampler is None:
            return np.zeros(0, np.float32)
        rest = np.asarray(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True), np.float32)
        missing = max(0, round(self.samples * TARGET_RATE / self._rate) - self._returned)
        return self._count(np.pad(rest[:missing], (0, max(0, missing - len(rest)))))

    def realign(self) -> None:
        """Forgets the bytes of a sample that was cut off: the client sends it again, whole."""
        self.received_bytes -= len(self._cut)
        self._cut = b""

    def close(self) -> None:
        """Nothing to free."""

    def _count(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        samples = np.asarray(samples, np.float32)
        self._returned += len(samples)
        return samples


def sound_length(samples: NDArray[np.float32]) -> int:
    """How many samples come before the first that is no audio: not-a-number, infinite, or far beyond full scale.

    Args:
        samples: [N], full scale being 1.
    """
    bad = ~(np.abs(samples) <= LOUDEST)  # so that not-a-number is bad, too
    return int(bad.argmax()) if bad.any() else len(samples)


def no_sound(sample: np.float32, second: float) -> AudioError:
    """The refusal of a sample that is no audio, and stands at this second."""
    text = f"got {sample} at {second:.3f} s"
    return AudioError(f"expected finite samples in [-1, 1], {text}: are these floats audio?")
