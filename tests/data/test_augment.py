from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from data.augment import (
    AugmentConfig,
    add_noise,
    augment,
    gain,
    reverberate,
    room_response,
    speed,
    telephone,
)

ALWAYS = AugmentConfig(
    speeds=(0.9, 1.1),
    gain_probability=1.0,
    reverb_probability=1.0,
    noise_probability=1.0,
    codec_probability=1.0,
)
NEVER = AugmentConfig(
    speeds=(1.0,),
    gain_probability=0.0,
    reverb_probability=0.0,
    noise_probability=0.0,
    codec_probability=0.0,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def tone(hz: float = 440.0, count: int = 16_000) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(count) / 16_000)).astype(np.float32)


def noise(count: int, seed: int = 1) -> np.ndarray:
    return (0.1 * rng(seed).standard_normal(count)).astype(np.float32)


def peak_hz(samples: np.ndarray) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples)))) * 16_000 / len(samples)


def decibels(ratio: float) -> float:
    return float(10 * np.log10(ratio))


@pytest.mark.parametrize("factor", [0.9, 1.1, 1.25])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    faster = speed(tone(), factor)
    assert faster.dtype == np.float32
    assert len(faster) == round(16_000 / factor)
    assert peak_hz(faster) == pytest.approx(440 * factor, abs=2.0)


def test_speed_one_is_a_copy() -> None:
    samples = tone()
    same = speed(samples, 1.0)
    np.testing.assert_array_equal(same, samples)
    assert same is not samples


def test_gain_is_in_decibels_and_clips() -> None:
    np.testing.assert_allclose(gain(tone(), -6.0206), tone() / 2, atol=1e-5)
    assert np.abs(gain(tone(), 40.0)).max() == 1.0


@pytest.mark.parametrize("snr_db", [-5.0, 10.0, 20.0])
@pytest.mark.parametrize("count", [100, 16_000, 40_000])
def test_noise_has_the_ratio_asked_for(snr_db: float, count: int) -> None:
    noisy = add_noise(tone(), rng(), noise(count), snr_db)
    added = noisy - tone()
    assert decibels(np.mean(tone() ** 2) / np.mean(added**2)) == pytest.approx(snr_db, abs=0.01)


def test_noise_comes_from_a_random_place() -> None:
    places = [add_noise(tone(), rng(seed), noise(40_000), 0.0) for seed in range(3)]
    assert not np.allclose(places[0], places[1])
    assert not np.allclose(places[1], places[2])


def test_silence_takes_no_noise_and_gives_none() -> None:
    silence = np.zeros(100, np.float32)
    np.testing.assert_array_equal(add_noise(silence, rng(), noise(100), 0.0), silence)
    np.testing.assert_array_equal(add_noise(tone(), rng(), silence, 0.0), tone())


def test_response_decays_by_60_db_and_has_its_ratio() -> None:
    response = room_response(rng(), rt60_ms=400.0, ratio_db=6.0)
    assert len(response) == 6401
    assert response[0] == 1.0
    tail = response[1:]
    assert decibels(np.sum(tail**2)) == pytest.approx(-6.0, abs=0.01)
    early, late = np.mean(tail[:640] ** 2), np.mean(tail[-640:] ** 2)
    assert decibels(early / late) == pytest.approx(54.0, abs=1.0)  # 0.9 of 60 dB between the tenths' middles


def test_reverberation_is_the_convolution_at_the_same_power() -> None:
    samples, response = noise(1000), room_response(rng(), 50.0, 3.0)
    expected = np.convolve(samples, response)[:1000]
    expected *= np.sqrt(np.mean(samples**2) / np.mean(expected**2))
    wet = reverberate(samples, response)
    np.testing.assert_allclose(wet, expected, atol=1e-6)
    assert wet.dtype == np.float32


def test_reverberation_of_silence_is_silence() -> None:
    assert not np.any(reverberate(np.zeros(50, np.float32), room_response(rng(), 50.0, 3.0)))


def test_telephone_cuts_the_band_and_keeps_the_length() -> None:
    for count in (15_999, 16_000):
        assert len(telephone(tone(count=count))) == count
    middle = slice(2000, 14_000)
    error = telephone(tone())[middle] - tone()[middle]
    assert decibels(np.mean(tone() ** 2) / np.mean(error**2)) > 30  # 8-bit µ-law has about 38 dB
    assert np.mean(telephone(tone(6000.0))[middle] ** 2) < 1e-4 * np.mean(tone() ** 2)


EFFECTS: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda x: speed(x, 1.1),
    lambda x: gain(x, 3.0),
    lambda x: add_noise(x, rng(), noise(10), 3.0),
    lambda x: reverberate(x, room_response(rng(), 50.0, 3.0)),
    telephone,
]


@pytest.mark.parametrize("effect", EFFECTS)
def test_effects_leave_their_argument_and_take_the_empty(effect: Callable[[np.ndarray], np.ndarray]) -> None:
    samples = tone()
    effect(samples)
    np.testing.assert_array_equal(samples, tone())
    assert effect(np.zeros(0, np.float32)).shape == (0,)


@pytest.mark.parametrize("effect", EFFECTS)
@pytest.mark.parametrize("wrong", [np.zeros((10, 2), np.float32), np.zeros(10)])
def test_effects_refuse_other_arrays(effect: Callable[[np.ndarray], np.ndarray], wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected float32 samples of shape \[n\], got float"):
        effect(wrong)


def test_a_seed_repeats_everything() -> None:
    noises = [noise(3000, seed) for seed in (2, 3)]
    first, again, other = (augment(tone(), rng(seed), ALWAYS, noises) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert len(first) in (round(16_000 / 0.9), round(16_000 / 1.1))
    assert np.abs(first).max() <= 1.0
    assert len(other) != len(first) or not np.allclose(other, first)


def test_nothing_asked_for_changes_nothing() -> None:
    np.testing.assert_array_equal(augment(tone(), rng(), NEVER, [noise(100)]), tone())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"speeds": ()}, "speeds: expected factors from 0.5 to 2"),
        ({"speeds": (3.0,)}, "speeds: expected factors from 0.5 to 2"),
        ({"gain_db": (3.0, -3.0)}, "gain_db: expected"),
        ({"noise_snr_db": (1.0,)}, "noise_snr_db: expected"),
        ({"reverb_rt60_ms": (0.0, 100.0)}, "reverb_rt60_ms: expected times above 0"),
        ({"codec_probability": 1.5}, "codec_probability: expected a number in"),
    ],
)
def test_config_is_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AugmentConfig(**values)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"factor: expected a number above 0, got 0"):
        speed(tone(), 0.0)
    with pytest.raises(ValueError, match=r"noise: expected samples, got none"):
        add_noise(tone(), rng(), np.zeros(0, np.float32), 3.0)
    with pytest.raises(ValueError, match=r"rt60_ms: expected a time above 0, got -1"):
        room_response(rng(), -1.0, 3.0)
    with pytest.raises(ValueError, match=r"response: expected samples, got none"):
        reverberate(tone(), np.zeros(0, np.float32))
