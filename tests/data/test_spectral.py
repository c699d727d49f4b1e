import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import spectral

SILENCE = np.log(spectral.LOG_FLOOR)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def frames(count: int = 200, level: float = -5.0, seed: int = 0) -> np.ndarray:
    """Log-mel frames well above the floor."""
    return rng(seed).normal(level, 1.0, (count, 80)).astype(np.float32)


def power(x: np.ndarray) -> np.ndarray:
    return np.exp(x.astype(np.float64)) - 1e-6


EFFECTS: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda x: spectral.spec_augment(x, rng(), 2, 20, 3, 0.05, -4.0),
    lambda x: spectral.speed(x, 1.1),
    lambda x: spectral.warp(x, 1.08),
    lambda x: spectral.gain(x, 6.0),
    lambda x: spectral.equalise(x, rng(), 4.0),
    lambda x: spectral.add_noise(x, frames(50), 10.0),
    lambda x: spectral.reverberate(x, 300.0, -10.0),
]


@pytest.mark.parametrize("effect", EFFECTS)
def test_effects_return_new_float32_frames(effect: Callable[[np.ndarray], np.ndarray]) -> None:
    x = frames()
    y = effect(x)
    np.testing.assert_array_equal(x, frames())
    assert y.dtype == np.float32
    assert y.shape[1] == 80
    assert np.isfinite(y).all()
    assert not np.array_equal(x, y)


@pytest.mark.parametrize("effect", EFFECTS)
def test_effects_take_no_frames_and_digital_silence(effect: Callable[[np.ndarray], np.ndarray]) -> None:
    assert effect(frames(0)).shape == (0, 80)
    assert np.isfinite(effect(np.full((50, 80), SILENCE, np.float32))).all()


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("wrong", [np.zeros(80, np.float32), np.zeros((5, 80))])
def test_effects_refuse_other_arrays(effect: Callable[[np.ndarray], np.ndarray], wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected float32 frames of shape \[T, bins\], got float"):
        effect(wrong)


@pytest.mark.parametrize("effect", EFFECTS)
def test_effects_are_fast(effect: Callable[[np.ndarray], np.ndarray]) -> None:
    x = frames(1000)
    effect(x)
    times = []
    for _ in range(15):
        start = time.perf_counter()
        effect(x)
        times.append(time.perf_counter() - start)
    assert min(times) < 3e-3  # under 0.3 ms on a free core


def test_masks_are_filled_and_bounded() -> None:
    for seed in range(50):
        x = frames(seed=seed)
        masked = spectral.spec_augment(x, rng(seed), 2, 20, 3, 0.05, 9.0) == 9.0
        bands, stretches = masked.all(axis=0), masked.all(axis=1)
        np.testing.assert_array_equal(masked, bands[None, :] | stretches[:, None])
        assert bands.sum() <= 40
        assert stretches.sum() <= 30


def test_masks_repeat_by_seed_and_reach_everywhere() -> None:
    ways = [spectral.spec_augment(frames(), rng(seed), 2, 20, 3, 0.1, 9.0) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(ways[0], ways[1])
    assert not np.array_equal(ways[0], ways[2])
    counts = sum((spectral.spec_augment(frames(), rng(s), 1, 20, 1, 0.5, 9.0) == 9.0) for s in range(300))
    assert counts.min() > 0


def test_no_masks_change_nothing() -> None:
    np.testing.assert_array_equal(spectral.spec_augment(frames(), rng(), 0, 20, 0, 0.5, 9.0), frames())
    np.testing.assert_array_equal(spectral.spec_augment(frames(), rng(), 3, 0, 3, 0.0, 9.0), frames())


def test_mask_ranges_are_checked() -> None:
    with pytest.raises(ValueError, match=r"freq_width: expected 0 to 80 bins, got 81"):
        spectral.spec_augment(frames(), rng(), 1, 81, 0, 0.0, 0.0)
    with pytest.raises(ValueError, match=r"time_fraction: expected a number in \[0, 1\], got 1.5"):
        spectral.spec_augment(frames(), rng(), 0, 0, 1, 1.5, 0.0)


@given(st.integers(1, 300), st.floats(0.5, 2.0))
def test_speed_interpolates_linearly(count: int, factor: float) -> None:
    ramp = np.repeat(np.arange(count, dtype=np.float32)[:, None], 3, axis=1)
    y = spectral.speed(ramp, factor)
    assert len(y) == max(1, round(count / factor))
    expected = np.minimum(np.arange(len(y)) * factor, count - 1)
    np.testing.assert_allclose(y, np.repeat(expected[:, None], 3, axis=1), rtol=1e-5, atol=1e-4)


def test_speed_one_is_a_copy_and_zero_is_refused() -> None:
    x = frames()
    assert spectral.speed(x, 1.0) is not x
    np.testing.assert_array_equal(spectral.speed(x, 1.0), x)
    with pytest.raises(ValueError, match=r"factor: expected a number above 0, got 0"):
        spectral.speed(x, 0.0)


def centres_hz() -> np.ndarray:
    """Centres of 80 Slaney mel filters, by the formulas of the scale."""
    top = 15 + np.log(8.0) / (np.log(6.4) / 27)
    mel = np.arange(1, 81) * top / 81
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1])
def test_warp_moves_a_resonance_to_factor_times_its_frequency(factor: float) -> None:
    hz = centres_hz()
    for resonance in (500.0, 1500.0, 3000.0):
        x = -((np.log(hz / resonance) / 0.1) ** 2).astype(np.float32)[None]
        peak = spectral.warp(x, factor)[0]
        weights = np.exp(peak.astype(np.float64))
        found = np.exp(np.sum(weights * np.log(hz)) / np.sum(weights))
        still = np.exp(np.sum(np.exp(x[0]) * np.log(hz)) / np.sum(np.exp(x[0])))
        assert found / still == pytest.approx(factor, rel=0.02)


@given(st.floats(0.5, 2.0))
def test_warp_keeps_the_order_and_the_ends(factor: float) -> None:
    ramp = np.arange(80, dtype=np.float32)[None]
    warped = spectral.warp(ramp, factor)[0]
    assert np.all(np.diff(warped) >= 0)
    assert warped[0] >= 0
    assert warped[-1] <= 79


def test_warp_range_is_checked() -> None:
    with pytest.raises(ValueError, match=r"factor: expected a number in \[0.5, 2\], got 3"):
        spectral.warp(frames(), 3.0)


@pytest.mark.parametrize("db", [-20.0, 0.0, 12.0])
def test_gain_scales_powers_and_leaves_the_floor(db: float) -> None:
    x = frames()
    np.testing.assert_allclose(power(spectral.gain(x, db)), power(x) * 10 ** (db / 10), rtol=1e-3)
    silence = np.full((5, 80), SILENCE, np.float32)
    np.testing.assert_allclose(spectral.gain(silence, db), silence, atol=1e-5)


def test_equalising_adds_one_smooth_curve_of_the_size_asked_for() -> None:
    """The same to all frames, of the mean 0 over the mel axis; digital silence stays what it is."""
    x, curves = frames(), []
    for seed in range(300):
        added = np.log(power(spectral.equalise(x, rng(seed), 4.0)) / power(x))
        np.testing.assert_allclose(added, np.broadcast_to(np.median(added, 0), added.shape), atol=1e-2)
        curves.append(10 / np.log(10) * np.median(added, 0))
    size = np.sqrt(np.mean(np.square(curves)))
    assert size == pytest.approx(4.0, abs=0.4)
    assert np.abs(np.mean(curves, axis=1)).max() < 0.01
    assert np.sqrt(np.mean(np.square(np.diff(curves, axis=1)))) < size / 5
    silence = np.full((5, 80), SILENCE, np.float32)
    np.testing.assert_allclose(spectral.equalise(silence, rng(), 4.0), silence, atol=1e-5)


@pytest.mark.parametrize("count", [1, 70, 200, 500])
@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 15.0])
def test_noise_has_the_ratio_asked_for(count: int, snr_db: float) -> None:
    x, n = frames(), frames(count, level=-8.0, seed=1)
    added = power(spectral.add_noise(x, n, snr_db)) - power(x)
    assert 10 * np.log10(power(x).mean() / added.mean()) == pytest.approx(snr_db, abs=0.05)
    shape = np.resize(power(n), x.shape)
    np.testing.assert_allclose(added / added.mean(), shape / shape.mean(), rtol=0.05, atol=1e-3)


def test_silence_takes_no_noise_and_gives_none() -> None:
    silence = np.full((50, 80), SILENCE, np.float32)
    np.testing.assert_array_equal(spectral.add_noise(frames(), silence, 5.0), frames())
    np.testing.assert_array_equal(spectral.add_noise(silence, frames(), 5.0), silence)


@pytest.mark.parametrize("wrong", [np.zeros((0, 80), np.float32), np.zeros((5, 40), np.float32)])
def test_other_noise_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected noise frames of shape \[t, 80\]"):
        spectral.add_noise(frames(), wrong, 5.0)


def test_reverberation_is_an_exponential_tail_of_the_energy_asked_for() -> None:
    click = np.full((400, 80), SILENCE, np.float32)
    click[10] = 0.0
    wet = power(spectral.reverberate(click, rt60_ms=500.0, level_db=-3.0))[:, 0]
    assert np.all(np.abs(wet[:10]) < 1e-6)  # nothing comes before its sound
    assert wet[10] == pytest.approx(1.0, rel=1e-3)
    assert 10 * np.log10(wet[11:].sum()) == pytest.approx(-3.0, abs=0.1)
    assert 10 * np.log10(wet[11] / wet[31]) == pytest.approx(60 * 200 / 500, abs=0.1)


def test_reverberation_is_the_sum_over_the_past() -> None:
    x = frames(40)
    decay = 10 ** (-6.0 * 10 / 300.0)
    tail = np.zeros((40, 80))
    for t in range(1, 40):
        tail[t] = decay * (tail[t - 1] + power(x)[t - 1])
    expected = power(x) + 0.1 * (1 - decay) / decay * tail
    np.testing.assert_allclose(power(spectral.reverberate(x, 300.0, -10.0)), expected, rtol=1e-3)


def test_reverberation_time_is_checked() -> None:
    with pytest.raises(ValueError, match=r"rt60_ms: expected a number above 0, got 0"):
        spectral.reverberate(frames(), 0.0, -10.0)
