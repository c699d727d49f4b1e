import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from server.audio import AudioError
from server.audio.samples import SampleDecoder
from server.wire import Encoding, pcm
from tests.server.audio.making import decode, tone

ENCODINGS = list(pcm.BYTES_PER_SAMPLE)
RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("rate", RATES)
def test_one_byte_at_a_time_gives_what_the_whole_gives(encoding: Encoding, rate: int) -> None:
    data = pcm.encode(tone(0.2, rate), encoding)
    whole = decode(SampleDecoder(encoding, rate), data, len(data))
    np.testing.assert_allclose(decode(SampleDecoder(encoding, rate), data, 1), whole, atol=1e-6)
    assert len(whole) == 3_200 and whole.dtype == np.float32


@settings(max_examples=30)
@given(st.sampled_from(ENCODINGS), st.sampled_from(RATES), st.lists(st.integers(0, 3_000), max_size=10))
def test_any_cut_gives_what_the_whole_gives(encoding: Encoding, rate: int, lengths: list[int]) -> None:
    data = pcm.encode(tone(0.1, rate), encoding)
    whole = decode(SampleDecoder(encoding, rate), data, len(data))
    decoder, position, parts = SampleDecoder(encoding, rate), 0, []
    for length in lengths:
        parts.append(decoder.decode(data[position : position + length]))
        position += length
    parts += [decoder.decode(data[position:]), decoder.finish()]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    assert (decoder.samples, decoder.received_bytes) == (round(0.1 * rate), len(data))


def test_the_sound_is_the_same_at_the_new_rate() -> None:
    sound = tone(1.0, 48_000)
    got = decode(SampleDecoder(Encoding.F32LE, 48_000), pcm.encode(sound, Encoding.F32LE))
    np.testing.assert_allclose(got, soxr.resample(sound, 48_000, 16_000), atol=1e-4)
    np.testing.assert_allclose(got[200:-200], tone(1.0, 16_000)[200:-200], atol=1e-2)


def test_at_16_khz_samples_come_through_at_once() -> None:
    decoder = SampleDecoder(Encoding.S16LE, 16_000)
    assert decoder.decode(b"\x00\x40\x00").tolist() == [0.5]
    assert decoder.samples == 1 and decoder.decode(b"\xc0").tolist() == [-0.5]
    assert decoder.finish().tolist() == []
    assert not decoder.blocking


def test_a_resuming_client_sends_whole_samples() -> None:
    decoder = SampleDecoder(Encoding.S16LE, 16_000)
    decoder.decode(b"\x00\x40\x99")
    decoder.realign()
    assert (decoder.samples, decoder.received_bytes) == (1, 2)
    assert decoder.decode(b"\x00\xc0").tolist() == [-0.5]


def test_half_a_sample_at_the_end_is_left() -> None:
    decoder = SampleDecoder(Encoding.F32LE, 48_000)
    assert decode(decoder, b"\x00" * 4 * 480 + b"\x01\x02").tolist() == [0.0] * 160


@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_floats_that_are_no_audio_are_refused(bad: float, rate: int) -> None:
    sound = tone(1.5, rate)
    expected = decode(SampleDecoder(Encoding.F32LE, rate), sound.tobytes())
    decoder = SampleDecoder(Encoding.F32LE, rate)
    got = decoder.decode(sound[:rate].tobytes())
    with pytest.raises(AudioError, match=r"expected finite samples in \[-1, 1\], got .* at 1.500 s") as refusal:
        decoder.decode(np.array([*sound[rate:], bad, 0.5], "<f4").tobytes())
    np.testing.assert_allclose(np.concatenate([got, refusal.value.samples]), expected, atol=1e-6)
    assert decoder.samples == len(sound)


def test_a_little_beyond_full_scale_is_audio() -> None:
    samples = np.array([1.5, -1.5], np.float32)
    assert SampleDecoder(Encoding.F32LE, 16_000).decode(samples.tobytes()).tolist() == [1.5, -1.5]


@pytest.mark.parametrize("rate", [0, 7_999, 48_001])
def test_rates_out_of_range_are_refused(rate: int) -> None:
    with pytest.raises(AudioError, match=f"from 8000 to 48000 Hz, got {rate}"):
        SampleDecoder(Encoding.S16LE, rate)


def test_a_container_holds_no_bare_samples() -> None:
    with pytest.raises(AudioError, match=r"expected one of pcm_s16le, .*, got container"):
        SampleDecoder(Encoding.CONTAINER, 16_000)


def test_no_audio_gives_none() -> None:
    decoder = SampleDecoder(Encoding.MULAW, 8_000)
    assert len(decoder.decode(b"")) == len(decoder.finish()) == 0
    decoder.close()
