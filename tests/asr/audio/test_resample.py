import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from asr.audio.errors import AudioError
from asr.audio.resample import MAX_RATE, MIN_RATE, StreamResampler

RATES = [4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000, 12_345]


def run(rate: int, parts: list[np.ndarray], rate_out: int = 16_000) -> np.ndarray:
    resampler = StreamResampler(rate, rate_out)
    return np.concatenate([*(resampler.push(part) for part in parts), resampler.flush()])


@given(
    rate=st.sampled_from(RATES),
    length=st.integers(0, 5_000),
    cuts=st.lists(st.integers(0, 5_000), max_size=12),
    channels=st.sampled_from([0, 1, 2, 6]),
    seed=st.integers(0, 2**16),
)
def test_any_cut_gives_the_whole(rate: int, length: int, cuts: list[int], channels: int, seed: int) -> None:
    shape = (length, channels) if channels else (length,)
    samples = np.random.default_rng(seed).normal(0.0, 0.3, shape).astype(np.float32)
    whole = run(rate, [samples])
    cut = run(rate, np.split(samples, sorted(min(c, length) for c in cuts)))
    np.testing.assert_array_equal(cut, whole)
    assert whole.dtype == np.float32
    assert len(whole) == round(length * 16_000 / rate)


@pytest.mark.parametrize("rate", [r for r in RATES if r != 16_000])
def test_equals_soxr_on_the_whole(rate: int) -> None:
    samples = np.random.default_rng(0).normal(0.0, 0.3, 3 * rate // 10).astype(np.float32)
    expected = soxr.resample(samples, rate, 16_000)
    got = run(rate, np.array_split(samples, 7))
    shared = min(len(got), len(expected))
    assert abs(len(got) - len(expected)) <= 1
    np.testing.assert_allclose(got[:shared], expected[:shared], atol=1e-5)


@pytest.mark.parametrize("rate", [r for r in RATES if r != 4_000])
def test_a_tone_keeps_time_and_level(rate: int) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32)
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(run(rate, [tone])[1_000:-1_000], expected[1_000:-1_000], atol=2e-3)


def test_equal_rates_pass_through() -> None:
    samples = np.array([0.1, -2.5, 0.3], np.float32)
    resampler = StreamResampler(16_000)
    np.testing.assert_array_equal(resampler.push(samples), samples)
    assert len(resampler.flush()) == 0


def test_the_output_is_no_view_of_the_input() -> None:
    buffer = np.ones(4, np.float32)
    out = StreamResampler(16_000).push(buffer)
    buffer[:] = 0.0
    np.testing.assert_array_equal(out, np.ones(4, np.float32))


def test_channels_are_averaged() -> None:
    stereo = np.array([[1.0, 0.0], [0.5, -0.5], [-1.0, -1.0]], np.float32)
    np.testing.assert_array_equal(StreamResampler(16_000).push(stereo), np.array([0.5, 0.0, -1.0], np.float32))


def test_other_output_rates() -> None:
    assert len(run(16_000, [np.zeros(1_600, np.float32)], rate_out=48_000)) == 4_800


def test_an_empty_stream_is_empty() -> None:
    assert len(StreamResampler(44_100).flush()) == 0


@pytest.mark.parametrize("rate", [0, -1, MIN_RATE - 1, MAX_RATE + 1])
def test_rates_out_of_range(rate: int) -> None:
    with pytest.raises(AudioError, match=f"4000 to 192000 Hz, got {rate}"):
        StreamResampler(rate)
    with pytest.raises(AudioError, match=f"4000 to 192000 Hz, got {rate}"):
        StreamResampler(16_000, rate)


@pytest.mark.parametrize("shape", [(), (3, 0), (2, 2, 2)])
def test_shapes_of_something_else(shape: tuple[int, ...]) -> None:
    with pytest.raises(AudioError, match=r"\[n\] or \[n, channels\], got"):
        StreamResampler(8_000).push(np.zeros(shape, np.float32))


def test_integers_have_no_known_scale() -> None:
    with pytest.raises(AudioError, match=r"floating-point samples .* got int16"):
        StreamResampler(8_000).push(np.zeros(3, np.int16))


@pytest.mark.parametrize("rate", [8_000, 16_000])
def test_flush_ends_the_stream(rate: int) -> None:
    resampler = StreamResampler(rate)
    resampler.push(np.zeros(3, np.float32))
    resampler.flush()
    with pytest.raises(RuntimeError, match="after flush"):
        resampler.push(np.zeros(3, np.float32))
    with pytest.raises(RuntimeError, match="one flush"):
        resampler.flush()
