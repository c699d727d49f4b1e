import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from server.wire import Encoding
from server.wire.pcm import BYTES_PER_SAMPLE, decode, encode

BARE = [encoding for encoding in Encoding if encoding is not Encoding.CONTAINER]

EVERY_INT16 = np.arange(-32768, 32768).astype(np.int16)
EVERY_CODE = bytes(range(256))
G711 = {Encoding.MULAW: "ULAW", Encoding.ALAW: "ALAW"}


def in_units(samples: NDArray[np.float32]) -> NDArray[np.int32]:
    """[N] in [-1, 1] to 16-bit units."""
    return np.rint(samples * 32768).astype(np.int32)


@pytest.mark.parametrize(
    ("encoding", "code", "value"),
    [
        (Encoding.MULAW, 0xFF, 0),
        (Encoding.MULAW, 0x7F, 0),
        (Encoding.MULAW, 0xFE, 8),
        (Encoding.MULAW, 0x80, 32124),
        (Encoding.MULAW, 0x00, -32124),
        (Encoding.ALAW, 0xD5, 8),
        (Encoding.ALAW, 0x55, -8),
        (Encoding.ALAW, 0xAA, 32256),
        (Encoding.ALAW, 0x2A, -32256),
    ],
)
def test_g711_landmarks(encoding: Encoding, code: int, value: int) -> None:
    assert in_units(decode(bytes([code]), encoding)).tolist() == [value]


@pytest.mark.parametrize("encoding", G711)
def test_g711_decodes_as_libsndfile(encoding: Encoding) -> None:
    raw = {"format": "RAW", "subtype": G711[encoding], "samplerate": 8000, "channels": 1}
    expected, _ = soundfile.read(io.BytesIO(EVERY_CODE), dtype="int16", **raw)
    assert in_units(decode(EVERY_CODE, encoding)).tolist() == expected.tolist()


def test_mulaw_encodes_as_libsndfile() -> None:
    file = io.BytesIO()
    soundfile.write(file, EVERY_INT16, 8000, format="RAW", subtype="ULAW")
    assert encode(EVERY_INT16 / 32768, Encoding.MULAW) == file.getvalue()


@pytest.mark.parametrize("encoding", G711)
def test_g711_codes_round_trip(encoding: Encoding) -> None:
    values = decode(EVERY_CODE, encoding)
    assert decode(encode(values, encoding), encoding).tolist() == values.tolist()


@pytest.mark.parametrize(("encoding", "largest"), [(Encoding.MULAW, 32124), (Encoding.ALAW, 32256)])
def test_g711_errs_by_at_most_half_a_step(encoding: Encoding, largest: int) -> None:
    values = np.abs(in_units(decode(encode(EVERY_INT16 / 32768, encoding), encoding)))
    magnitudes = np.abs(EVERY_INT16.astype(np.int32))
    # Sixteen steps a doubling: half a step is at most 1/32 of the value, or half the smallest step.
    error = np.where(magnitudes <= largest, np.abs(values - magnitudes), 0)
    assert (error <= np.maximum((magnitudes + 132) / 32 + 1, 8)).all()
    assert values.max() == largest


@pytest.mark.parametrize("encoding", [Encoding.S16LE, Encoding.F32LE])
def test_16_bit_samples_survive(encoding: Encoding) -> None:
    samples = (EVERY_INT16 / 32768).astype(np.float32)
    assert (decode(encode(samples, encoding), encoding) == samples).all()


def test_s16le_is_little_endian_and_clips() -> None:
    assert encode(np.array([1 / 32768, -1.0, 1.0, 7.0, -7.0]), Encoding.S16LE).hex() == "01000080ff7fff7f0080"
    expected = [1 / 32768, -1.0, 32767 / 32768]
    assert decode(bytes.fromhex("01000080ff7f"), Encoding.S16LE).tolist() == expected


def test_floats_come_through_as_they_are() -> None:
    samples = np.array([0.5, -2.0, np.nan], np.float32)
    assert np.array_equal(decode(samples.astype("<f4").tobytes(), Encoding.F32LE), samples, equal_nan=True)


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(-1, 1, width=32)), st.sampled_from(BARE))
def test_sizes_agree_and_samples_stay_in_range(samples: NDArray[np.float32], encoding: Encoding) -> None:
    data = encode(samples, encoding)
    assert len(data) == len(samples) * BYTES_PER_SAMPLE[encoding]
    result = decode(data, encoding)
    assert result.dtype == np.float32
    assert result.shape == samples.shape
    assert (np.abs(result) <= 1).all()


@pytest.mark.parametrize(("encoding", "data"), [(Encoding.S16LE, b"abc"), (Encoding.F32LE, b"abcdef")])
def test_half_samples_are_refused(encoding: Encoding, data: bytes) -> None:
    expected = f"expected a multiple of {BYTES_PER_SAMPLE[encoding]} bytes of {encoding}, got {len(data)}"
    with pytest.raises(ValueError, match=expected):
        decode(data, encoding)


@pytest.mark.parametrize("encoding", BARE)
def test_what_is_no_sound_is_refused(encoding: Encoding) -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="expected finite samples"):
            encode(np.array([0.0, value]), encoding)
    with pytest.raises(ValueError, match=r"\[N\], got shape \(2, 2\)"):
        encode(np.zeros((2, 2)), encoding)
