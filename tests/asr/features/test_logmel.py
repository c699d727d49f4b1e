"""The log-mel against librosa on the same framing, whole and in any cuts."""

import itertools

import librosa
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.features import HOP_SAMPLES, LEFT_SAMPLES, LOG_FLOOR, LogMel, log_mel
from asr.features.logmel import mel_filterbank, window


def audio(samples: int, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """A sweep in noise: energy in every band."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    sweep = np.sin(2 * np.pi * (100 + 1500 * time) * time)
    return (level * (sweep + 0.1 * rng.normal(size=samples))).astype(np.float32)


def reference(samples: np.ndarray) -> np.ndarray:
    """Librosa's spectrogram of the signal with 240 zeros before it, and its filterbank: [k, 80]."""
    # librosa centres a short window in the FFT frame, which moves phases but not powers; 112 samples past the end of
    # the last frame have to exist, and 56 before the first.
    short = np.pad(samples, (LEFT_SAMPLES + 56, 56))
    spectrum = librosa.stft(short, n_fft=512, hop_length=160, win_length=400, window="hann", center=False)
    filters = librosa.filters.mel(sr=16_000, n_fft=512, n_mels=80)
    return np.log(filters @ np.abs(spectrum) ** 2 + LOG_FLOOR).T


def test_filterbank_is_that_of_librosa() -> None:
    np.testing.assert_allclose(mel_filterbank(), librosa.filters.mel(sr=16_000, n_fft=512, n_mels=80), atol=1e-8)


def test_window_is_the_periodic_hann_window() -> None:
    np.testing.assert_allclose(window(), librosa.filters.get_window("hann", 400, fftbins=True), atol=1e-12)


@pytest.mark.parametrize("level", [1.0, 0.1, 1e-3, 1e-5])
def test_equals_librosa_on_the_same_framing(level: float) -> None:
    samples = audio(16_000, level=level)
    np.testing.assert_allclose(log_mel(samples), reference(samples), atol=1e-4)


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 0), (159, 0), (160, 1), (161, 1), (400, 2), (1600, 10)])
def test_whole_hops_give_a_frame_each(samples: int, frames: int) -> None:
    result = log_mel(audio(samples))
    assert result.shape == (frames, 80)
    assert result.dtype == np.float32


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(log_mel(np.zeros(1600, np.float32)), np.log(LOG_FLOOR), rtol=1e-6)


@given(st.lists(st.integers(0, 700), max_size=12), st.integers(0, 3))
def test_any_cuts_give_the_frames_of_the_whole(cuts: list[int], seed: int) -> None:
    samples = audio(sum(cuts), seed)
    stream = LogMel()
    ends = np.cumsum([0, *cuts])
    frames = [stream.accept(samples[a:b]) for a, b in itertools.pairwise(ends)]
    whole = np.concatenate([np.zeros((0, 80), np.float32), *frames])
    np.testing.assert_allclose(whole, log_mel(samples), atol=1e-5)


def test_frame_hears_nothing_past_its_hop() -> None:
    samples = audio(1600)
    changed = samples.copy()
    changed[800:] = 1.0
    np.testing.assert_array_equal(log_mel(changed)[:5], log_mel(samples)[:5])
    assert np.all(np.any(log_mel(changed)[5:] != log_mel(samples)[5:], axis=1))


def test_stream_keeps_no_more_than_a_window() -> None:
    stream = LogMel()
    for _ in range(50):
        stream.accept(audio(999))
    assert len(stream._buffer) < LEFT_SAMPLES + HOP_SAMPLES


def test_other_number_types_are_taken_as_float32() -> None:
    samples = audio(1600)
    np.testing.assert_array_equal(log_mel(samples.astype(np.float64)), log_mel(samples))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(), (1600, 1), (2, 800)])
def test_wrong_shapes_are_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected mono samples of shape \[n\], got shape \["):
        log_mel(np.zeros(shape, np.float32))
