"""Augmentation of a training utterance's log-mel frames, in one place and order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.training.config import AugmentConfig
from data import spectral

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class FrameAugmenter:
    """Speed, mel warp, gain, reverberation, colour, noise and SpecAugment on cached features.

    Attributes:
        config: Ranges and probabilities.
        noises: Log-mel frames of the noise recordings.
        fill: [80] what SpecAugment writes, the mean of the training features: 0 once they are normalised.
    """

    config: AugmentConfig
    noises: Sequence[Frames]
    fill: Frames

    def __call__(self, frames: Frames, factor: float, rng: np.random.Generator) -> Frames:
        """Augmented copy of frames [t, 80]; about t / factor frames long."""
        c = self.config
        if factor != 1.0:
            frames = spectral.speed(frames, factor)
        if c.warp:
            frames = spectral.warp(frames, 1.0 + rng.uniform(-c.warp, c.warp))
        if c.gain_db:
            frames = spectral.gain(frames, rng.uniform(-c.gain_db, c.gain_db))
        if c.reverb_probability and rng.random() < c.reverb_probability:
            frames = spectral.reverberate(frames, _within(c.reverb_rt60_ms, rng), _within(c.reverb_level_db, rng))
        if c.equalise_db:
            frames = spectral.equalise(frames, rng, c.equalise_db)
        if self.noises and rng.random() < c.noise_probability:
            noise = self._noise(len(frames), rng)
            frames = spectral.add_noise(frames, noise, _within(c.noise_snr_db, rng))
        return spectral.spec_augment(
            frames, rng, c.frequency_masks, c.frequency_width, c.time_masks, c.time_fraction, self.fill
        )

    def _noise(self, count: int, rng: np.random.Generator) -> Frames:
        """`count` frames of a random noise from a random place, repeated if it is too short."""
        noise = self.noises[int(rng.integers(len(self.noises)))]
        start = int(rng.integers(len(noise)))
        return np.take(noise, np.arange(start, start + count), axis=0, mode="wrap")


def _within(bounds: Sequence[float], rng: np.random.Generator) -> float:
    lowest, highest = bounds
    return float(rng.uniform(lowest, highest))


def no_augmentation(frames: Frames, factor: float, rng: np.random.Generator) -> Frames:
    """Frames as they are."""
    return frames


Augmenter = Callable[[Frames, float, np.random.Generator], Frames]
