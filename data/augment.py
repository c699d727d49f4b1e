"""Augmentation of waveforms: speed, gain, reverberation, noise and telephone quality.

Samples are [n] float32 at 16 kHz, full scale = 1. Functions are pure: they return new samples, and what is
random comes from the generator they are given, so that a seed repeats them. `augment` draws them all from
one config. `data.spectral` has the equivalents on features, for training that decodes each recording once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray

from data.audio import SAMPLE_RATE

Samples = NDArray[np.float32]

TELEPHONE_RATE = 8000  # Hz
MU = 255  # of North American and Japanese µ-law
DECAY_NEPERS = np.log(1000.0)  # 60 dB of amplitude


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges that `augment` draws from, uniformly, and how often each effect is used.

    Attributes:
        speeds: Factors of which one is drawn; 1.0 leaves the speed as it is.
        gain_db: Lowest and highest gain.
        gain_probability: Share of utterances with a gain.
        reverb_rt60_ms: Shortest and longest reverberation time.
        reverb_ratio_db: Lowest and highest direct-to-reverberant ratio.
        reverb_probability: Share of utterances with reverberation.
        noise_snr_db: Lowest and highest signal-to-noise ratio.
        noise_probability: Share of utterances with noise.
        codec_probability: Share of utterances in telephone quality.
    """

    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    gain_db: tuple[float, float] = (-12.0, 6.0)
    gain_probability: float = 0.5
    reverb_rt60_ms: tuple[float, float] = (150.0, 700.0)
    reverb_ratio_db: tuple[float, float] = (0.0, 15.0)
    reverb_probability: float = 0.2
    noise_snr_db: tuple[float, float] = (5.0, 25.0)
    noise_probability: float = 0.3
    codec_probability: float = 0.05

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not self.speeds or not all(0.5 <= s <= 2.0 for s in self.speeds):
            raise ValueError(f"speeds: expected factors from 0.5 to 2, got {list(self.speeds)}")
        for name in ("gain_db", "reverb_rt60_ms", "reverb_ratio_db", "noise_snr_db"):
            bounds = getattr(self, name)
            if len(bounds) != 2 or not bounds[0] <= bounds[1]:
                raise ValueError(f"{name}: expected (lowest, highest), got {bounds}")
        if self.reverb_rt60_ms[0] <= 0:
            raise ValueError(f"reverb_rt60_ms: expected times above 0, got {self.reverb_rt60_ms}")
        for name in ("gain_probability", "reverb_probability", "noise_probability", "codec_probability"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name}: expected a number in [0, 1], got {getattr(self, name)}")


def augment(
    samples: Samples, rng: np.random.Generator, config: AugmentConfig, noises: Sequence[Samples] = ()
) -> Samples:
    """Sends speech through speed, room, noise, gain and telephone, in the order in which they happen to it.

    Args:
        samples: [n] speech.
        rng: Source of everything random.
        config: Ranges and probabilities.
        noises: Recordings of noise, each [m] and not empty; without any, no noise is added.

    Returns:
        [round(n / speed)] samples within [-1, 1].
    """
    samples = speed(samples, float(rng.choice(config.speeds)))
    if rng.random() < config.reverb_probability:
        rt60_ms, ratio_db = rng.uniform(*config.reverb_rt60_ms), rng.uniform(*config.reverb_ratio_db)
        samples = reverberate(samples, room_response(rng, rt60_ms, ratio_db))
    if noises and rng.random() < config.noise_probability:
        noise = noises[int(rng.integers(len(noises)))]
        samples = add_noise(samples, rng, noise, rng.uniform(*config.noise_snr_db))
    if rng.random() < config.gain_probability:
        samples = gain(samples, rng.uniform(*config.gain_db))
    if rng.random() < config.codec_probability:
        samples = telephone(samples)
    return np.clip(samples, -1.0, 1.0)


def speed(samples: Samples, factor: float) -> Samples:
    """Plays samples `factor` times as fast, pitch and all: [n] -> [round(n / factor)].

    Raises:
        ValueError: if `factor` is not above 0.
    """
    _check(samples)
    if not factor > 0:
        raise ValueError(f"factor: expected a number above 0, got {factor}")
    if factor == 1.0 or not len(samples):
        return samples.copy()
    return _resampled(samples, SAMPLE_RATE * factor, SAMPLE_RATE, round(len(samples) / factor))


def gain(samples: Samples, db: float) -> Samples:
    """Makes samples `db` decibels louder, [n]; what leaves [-1, 1] is clipped, as a converter would."""
    _check(samples)
    return np.clip(samples * np.float32(10 ** (db / 20)), -1.0, 1.0)


def add_noise(samples: Samples, rng: np.random.Generator, noise: Samples, snr_db: float) -> Samples:
    """Mixes in noise, from a random place of its recording, repeated if it is too short.

    Args:
        samples: [n] speech.
        rng: Source of the place.
        noise: [m] noise.
        snr_db: Power of the speech over that of the noise, both over the whole utterance, in dB.

    Returns:
        [n], not clipped; the speech unchanged if either is digital silence.

    Raises:
        ValueError: if there is no noise to take.
    """
    _check(samples)
    _check(noise)
    if not len(noise):
        raise ValueError("noise: expected samples, got none")
    if not len(samples):
        return samples.copy()
    start = int(rng.integers(len(noise)))
    excerpt = np.take(noise, np.arange(start, start + len(samples)), mode="wrap")  # [n]
    signal_power, noise_power = float(np.mean(samples**2)), float(np.mean(excerpt**2))
    if signal_power == 0.0 or noise_power == 0.0:
        return samples.copy()
    return samples + np.float32(np.sqrt(signal_power / noise_power * 10 ** (-snr_db / 10))) * excerpt


def room_response(rng: np.random.Generator, rt60_ms: float, ratio_db: float) -> Samples:
    """A synthetic room impulse response.

    The direct sound, then Gaussian noise under an exponential decay: the statistical model of late
    reverberation (Polack 1988; Kuttruff, Room Acoustics, chapter 4), without a geometry and its early
    reflections.

    Args:
        rng: Source of the noise.
        rt60_ms: Time in which the tail falls by 60 dB.
        ratio_db: Energy of the direct sound over that of the tail.

    Returns:
        [rt60 in samples + 1], the first of them 1: the direct sound is not delayed.

    Raises:
        ValueError: if `rt60_ms` is not above 0.
    """
    if not rt60_ms > 0:
        raise ValueError(f"rt60_ms: expected a time above 0, got {rt60_ms}")
    length = max(1, round(SAMPLE_RATE * rt60_ms / 1000))
    tail = rng.standard_normal(length) * np.exp(-DECAY_NEPERS * np.arange(1, length + 1) / length)
    tail *= np.sqrt(10 ** (-ratio_db / 10) / np.sum(tail**2))
    return np.concatenate([[1.0], tail]).astype(np.float32)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """Convolves samples, [n], with a room's response, [m], and restores their power: [n], without the tail.

    Raises:
        ValueError: if the response is empty.
    """
    _check(samples)
    if not len(response):
        raise ValueError("response: expected samples, got none")
    if not len(samples):
        return samples.copy()
    size = 1 << (len(samples) + len(response) - 2).bit_length()  # no shorter than the full convolution
    spectrum = np.fft.rfft(samples, size) * np.fft.rfft(response, size)
    wet = np.fft.irfft(spectrum, size)[: len(samples)]
    power = float(np.mean(wet**2))
    scale = np.sqrt(float(np.mean(samples**2)) / power) if power > 0 else 1.0
    return (wet * scale).astype(np.float32)


def telephone(samples: Samples) -> Samples:
    """Telephone quality, [n]: down to 8 kHz, through 8-bit µ-law and back.

    The continuous µ-law curve in 255 levels, of which G.711 is the piecewise linear approximation.
    """
    _check(samples)
    if not len(samples):
        return samples.copy()
    narrow = _resampled(samples, SAMPLE_RATE, TELEPHONE_RATE, -(-len(samples) // 2))
    narrow = np.clip(narrow, -1.0, 1.0)
    compressed = np.sign(narrow) * np.log1p(MU * np.abs(narrow)) / np.log1p(MU)
    levels = np.round(compressed * (MU // 2)) / (MU // 2)
    expanded = np.sign(levels) * np.expm1(np.abs(levels) * np.log1p(MU)) / MU
    return _resampled(expanded.astype(np.float32), TELEPHONE_RATE, SAMPLE_RATE, len(samples))


def _resampled(samples: Samples, rate: float, new_rate: float, count: int) -> Samples:
    """Resamples to exactly `count` samples: soxr's own rounding may differ by one."""
    resampled = np.asarray(soxr.resample(samples, rate, new_rate), np.float32)[:count]
    return np.pad(resampled, (0, count - len(resampled)))


def _check(samples: Samples) -> None:
    if samples.ndim != 1 or samples.dtype != np.float32:
        got = f"{samples.dtype} {list(samples.shape)}"
        raise ValueError(f"expected float32 samples of shape [n], got {got}")
