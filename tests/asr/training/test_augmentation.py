"""Every kind of augmentation that a configuration asks for acts, alone and in its place."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from asr.config import from_dict
from asr.errors import ConfigError
from asr.training.augmentation import FrameAugmenter, no_augmentation
from asr.training.config import AugmentConfig
from data import spectral

NOTHING = {
    "speeds": [1.0],
    "warp": 0.0,
    "gain_db": 0.0,
    "noise_probability": 0.0,
    "frequency_masks": 0,
    "time_masks": 0,
}
FILL = np.linspace(-3, 3, 80, dtype=np.float32)


def frames(seed: int = 0, count: int = 120) -> np.ndarray:
    return np.random.default_rng(seed).normal(-4.0, 2.0, (count, 80)).astype(np.float32)


def augmenter(**changes: Any) -> FrameAugmenter:
    config = from_dict(AugmentConfig, NOTHING | changes)
    return FrameAugmenter(config, [frames(1, 70), frames(2, 300)], FILL)


def augmented(seed: int = 0, factor: float = 1.0, **changes: Any) -> np.ndarray:
    return augmenter(**changes)(frames(), factor, np.random.default_rng(seed))


def power(x: np.ndarray) -> float:
    return float(np.mean(np.exp(x)))


def test_nothing_asked_for_changes_nothing() -> None:
    np.testing.assert_array_equal(augmented(), frames())
    np.testing.assert_array_equal(no_augmentation(frames(), 1.1, np.random.default_rng(0)), frames())


def test_speed_is_that_of_the_plan() -> None:
    np.testing.assert_array_equal(augmented(factor=1.1), spectral.speed(frames(), 1.1))


def test_gain_is_within_its_range() -> None:
    found = [10 * np.log10(power(augmented(seed, gain_db=6.0)) / power(frames())) for seed in range(40)]
    assert -6.01 < min(found) < -4 and 4 < max(found) < 6.01


def test_colours_are_those_of_the_generator() -> None:
    found = augmented(3, equalise_db=4.0)
    np.testing.assert_array_equal(found, spectral.equalise(frames(), np.random.default_rng(3), 4.0))
    assert not np.allclose(found, augmented(4, equalise_db=4.0), atol=0.1)


def test_warp_moves_bands() -> None:
    assert not np.allclose(augmented(warp=0.08), frames())
    assert augmented(warp=0.08).shape == (120, 80)


def test_noise_has_its_ratio_and_share() -> None:
    """A share of utterances, each with a stretch of one of the recordings, also of one that is too short."""
    found = [augmented(seed, noise_probability=0.3, noise_snr_db=[3.0, 3.0]) for seed in range(200)]
    noisy = [x for x in found if not np.array_equal(x, frames())]
    assert 40 < len(noisy) < 80
    for x in noisy:
        assert 10 * np.log10(power(frames()) / (power(x) - power(frames()))) == pytest.approx(3.0, abs=0.05)


def test_reverberation_adds_a_tail_of_its_level_to_its_share() -> None:
    ranges = {"reverb_rt60_ms": [100.0, 100.0], "reverb_level_db": [-3.0, -3.0]}
    found = [augmented(seed, reverb_probability=0.5, **ranges) for seed in range(100)]
    dry = sum(np.array_equal(x, frames()) for x in found)
    assert 30 < dry < 70
    expected = spectral.reverberate(frames(), 100.0, -3.0)
    assert all(np.array_equal(x, frames()) or np.array_equal(x, expected) for x in found)


def test_noise_is_not_reverberated() -> None:
    """A room's tail belongs to the speech; the noise recordings have their own."""
    both = augmented(3, reverb_probability=0.99, noise_probability=0.99, noise_snr_db=[300.0, 300.0])
    rng = np.random.default_rng(3)
    rng.random()
    expected = spectral.reverberate(frames(), rng.uniform(150.0, 700.0), rng.uniform(-15.0, 0.0))
    np.testing.assert_allclose(both, expected, atol=1e-5)


def test_masks_hold_the_mean_of_each_bin() -> None:
    x = augmented(frequency_masks=2, time_masks=2, time_fraction=0.2)
    changed = x != frames()
    assert changed.any()
    np.testing.assert_array_equal(x[changed], np.broadcast_to(FILL, x.shape)[changed])


def test_a_seed_repeats_everything() -> None:
    everything = from_dict(AugmentConfig, {"reverb_probability": 0.5, "noise_probability": 0.5})
    augment = FrameAugmenter(everything, [frames(1)], FILL)
    first, again, other = (augment(frames(), 0.9, np.random.default_rng(seed)) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"noise_snr_db": [20.0, 5.0]}, r"noise_snr_db: expected \[lowest, highest\], got \[20.0, 5.0\]"),
        ({"warp": 0.51}, "warp: expected a number from 0 to 0.5, got 0.51"),
        ({"warp": -0.1}, "warp: expected a number from 0 to 0.5, got -0.1"),
        ({"reverb_rt60_ms": [0.1, 5.0]}, r"reverb_rt60_ms: expected times of at least 1 ms, got \[0.1, 5.0\]"),
        ({"reverb_level_db": [1.0]}, r"reverb_level_db: expected \[lowest, highest\], got \[1.0\]"),
        ({"equalise_db": -1.0}, r"equalise_db: expected a number from 0 to 20, got -1.0"),
        ({"join_pause_ms": -1.0}, r"join_pause_ms: expected a number from 0 to 10000, got -1.0"),
        ({"join_probability": 1.1}, r"join_probability: expected a number in \[0, 1\), got 1.1"),
        ({"speeds": [0.3]}, r"speeds: expected factors from 0.5 to 2, got \[0.3\]"),
    ],
)
def test_ranges_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(AugmentConfig, values)
    assert dataclasses.asdict(AugmentConfig())  # the defaults are within them


def test_the_widest_ranges_can_be_drawn_from() -> None:
    ranges = {"warp": 0.5, "reverb_probability": 0.999, "reverb_rt60_ms": [1.0, 1.0]}
    assert all(np.isfinite(augmented(seed, **ranges)).all() for seed in range(20))
