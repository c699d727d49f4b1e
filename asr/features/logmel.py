"""Log-mel features on the CPU, whole or streaming (numpy; the compiled step has its own in `frontend`).

Framing: frame t covers samples [160 t - 240, 160 t + 160), with zeros before the first sample. A window therefore ends
where its hop ends, so k hops of audio give exactly k frames and no frame waits for audio after it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz
WINDOW_SAMPLES = SAMPLE_RATE * 25 // 1000  # 25 ms = 400 samples
HOP_SAMPLES = SAMPLE_RATE * 10 // 1000  # 10 ms = 160 samples
FRAMES_PER_SECOND = SAMPLE_RATE // HOP_SAMPLES
LEFT_SAMPLES = WINDOW_SAMPLES - HOP_SAMPLES  # samples a window needs from before its hop
FFT_SIZE = 512  # the next power of two above the window
MEL_BINS = 80
LOG_FLOOR = 1e-6  # added to mel powers before the logarithm: about the noise floor of 16-bit audio

Samples = NDArray[np.float32]
Frames = NDArray[np.float32]


@lru_cache(maxsize=1)
def window() -> NDArray[np.float64]:
    """Periodic Hann window, [400], as librosa and scipy define it for spectral analysis."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)


@lru_cache(maxsize=1)
def mel_filterbank() -> NDArray[np.float32]:
    """Slaney-normalised triangular filters, [80, 257], from 0 to 8000 Hz.

    The values are `librosa.filters.mel(sr=16000, n_fft=512, n_mels=80)`, computed here so that recognition does not
    pay librosa's import (a test holds the two together). Slaney, Auditory Toolbox (1998): linear below 1 kHz,
    logarithmic above, each filter of unit area.
    """
    step = 200.0 / 3  # Hz per mel below 1 kHz
    log_step = np.log(6.4) / 27  # per mel above
    break_hz, break_mel = 1000.0, 1000.0 / step
    top = break_mel + np.log(SAMPLE_RATE / 2 / break_hz) / log_step
    mels = np.linspace(0.0, top, MEL_BINS + 2)
    edges = np.where(mels < break_mel, mels * step, break_hz * np.exp(log_step * (mels - break_mel)))  # [82] Hz
    bins = np.linspace(0.0, SAMPLE_RATE / 2, FFT_SIZE // 2 + 1)  # [257] Hz
    ramps = edges[:, None] - bins[None, :]  # [82, 257]
    width = np.diff(edges)  # [81]
    rising = -ramps[:-2] / width[:-1, None]
    falling = ramps[2:] / width[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling))  # [80, 257]
    area = 2.0 / (edges[2:] - edges[:-2])
    return (filters * area[:, None]).astype(np.float32)


def _frames(samples: Samples) -> Frames:
    """Log-mel of a buffer that starts `LEFT_SAMPLES` before the first hop: [n] -> [(n - 240) // 160, 80]."""
    count = (len(samples) - LEFT_SAMPLES) // HOP_SAMPLES
    if count <= 0:
        return np.zeros((0, MEL_BINS), np.float32)
    view = np.lib.stride_tricks.sliding_window_view(samples, WINDOW_SAMPLES)[::HOP_SAMPLES][:count]  # [t, 400]
    spectrum = np.fft.rfft(view * window().astype(np.float32), FFT_SIZE)  # [t, 257]
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return np.log(power @ mel_filterbank().T + LOG_FLOOR)


def log_mel(samples: Samples) -> Frames:
    """Log-mel frames of a whole recording.

    Args:
        samples: [n] mono float32 at 16 kHz, full scale = 1.

    Returns:
        [n // 160, 80] float32, natural logarithm of mel power plus `LOG_FLOOR`. Samples past the last whole hop are
        not used: pad with zeros to keep them.

    Raises:
        ValueError: if `samples` is not one-dimensional.
    """
    return LogMel().accept(samples)


class LogMel:
    """Streaming log-mel: any cut of the samples gives the frames of the whole."""

    def __init__(self) -> None:
        """Starts a stream preceded by silence."""
        self._buffer: Samples = np.zeros(LEFT_SAMPLES, np.float32)

    def accept(self, samples: Samples) -> Frames:
        """Takes the next samples, [n], and returns the frames they complete, [k, 80] (k may be 0).

        Raises:
            ValueError: if `samples` is not one-dimensional.
        """
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 1:
            raise ValueError(f"expected mono samples of shape [n], got shape {list(samples.shape)}")
        buffer = np.concatenate([self._buffer, samples])
        frames = _frames(buffer)
        self._buffer = buffer[len(frames) * HOP_SAMPLES :]
        return frames
