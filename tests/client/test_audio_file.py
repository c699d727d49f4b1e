from pathlib import Path

import numpy as np
import pytest
import soundfile

from client.audio_file import BLOCK_S, CONTAINER_BLOCK, open_audio
from client.errors import AudioFileError
from server.wire import Encoding
from server.wire.pcm import decode

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def tone(seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    """[n, channels], each channel a pitch of its own."""
    time = np.arange(int(seconds * rate))[:, None] / rate
    return 0.3 * np.sin(2 * np.pi * 200 * time * (1 + np.arange(channels)))


def sent(path: Path, decode_here: bool = False) -> tuple[np.ndarray, int | None]:
    source = open_audio(path, decode_here)
    return decode(b"".join(source.blocks()), source.encoding), source.sample_rate


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_U8", "ULAW", "ALAW"])
def test_sixteen_bits_go_as_sixteen_bits(tmp_path: Path, subtype: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.3, 8_000), 8_000, subtype=subtype)
    samples, rate = sent(path)
    assert open_audio(path).encoding is Encoding.S16LE
    assert rate == 8_000
    np.testing.assert_array_equal(samples, soundfile.read(path, dtype="float32")[0])


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("a.flac", "PCM_24")])
def test_more_bits_go_as_floats(tmp_path: Path, name: str, subtype: str) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(0.3, 44_100), 44_100, subtype=subtype)
    samples, rate = sent(path)
    assert open_audio(path).encoding is Encoding.F32LE
    assert rate == 44_100
    np.testing.assert_array_equal(samples, soundfile.read(path, dtype="float32")[0])


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(0.3, 16_000, 3), 16_000, subtype="FLOAT")
    np.testing.assert_allclose(sent(path)[0], tone(0.3, 16_000, 3).mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [6_000, 96_000])
def test_rates_out_of_range_are_resampled(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(1.0, rate), rate, subtype="PCM_16")
    samples, sent_rate = sent(path)
    assert sent_rate == 16_000
    assert abs(len(samples) - 16_000) <= 2
    middle = slice(2_000, 14_000)
    np.testing.assert_allclose(samples[middle], tone(1.0, 16_000)[middle, 0], atol=2e-3)


def test_mp3_goes_as_it_is() -> None:
    path = SAMPLES / "422-122949-0033.mp3"
    source = open_audio(path)
    blocks = list(source.blocks())
    assert (source.encoding, source.sample_rate) == (Encoding.CONTAINER, None)
    assert b"".join(blocks) == path.read_bytes()
    assert max(map(len, blocks)) == CONTAINER_BLOCK
    assert source.seconds == pytest.approx(5.555, abs=0.1)
    assert source.bytes_per_second == pytest.approx(path.stat().st_size / source.seconds)


def test_in_real_time_a_containers_blocks_are_short() -> None:
    source = open_audio(SAMPLES / "422-122949-0033.mp3")
    blocks = list(source.blocks(steady=True))
    assert b"".join(blocks) == source.path.read_bytes()
    assert max(map(len, blocks)) / source.bytes_per_second == pytest.approx(BLOCK_S, rel=0.01)


@pytest.mark.parametrize("name", ["1673-143397-0012.mp3", "422-122949-0033.mp3", "common_voice_en_37228932.opus"])
def test_decoding_here(name: str) -> None:
    samples, rate = sent(SAMPLES / name, decode_here=True)
    expected, expected_rate = soundfile.read(SAMPLES / name, dtype="float32")
    assert rate == expected_rate
    assert np.abs(samples).max() > 0.05
    np.testing.assert_allclose(samples, expected, atol=1e-6)


def test_what_cannot_be_read_here_is_the_servers_to_read(tmp_path: Path) -> None:
    for name in ("a.m4a", "a.raw"):
        path = tmp_path / name
        path.write_bytes(b"\x00\x00\x00 ftypM4A " + bytes(range(256)) * 100)
        source = open_audio(path)
        assert source.encoding is Encoding.CONTAINER
        assert (source.seconds, source.bytes_per_second) == (0.0, 0.0)
        assert b"".join(source.blocks()) == path.read_bytes()
        with pytest.raises(AudioFileError, match="expected a file that libsndfile decodes"):
            open_audio(path, decode=True)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="expected an audio file, got: No such file"):
        open_audio(tmp_path / "a.wav")
    with pytest.raises(AudioFileError, match="Is a directory"):
        open_audio(tmp_path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.touch()
    with pytest.raises(AudioFileError, match="got an empty file"):
        open_audio(path)


def test_a_file_that_breaks_off(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 48_000), 16_000)
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(AudioFileError, match=r"damaged after|breaks off: expected 3\.00 s"):
        list(open_audio(path).blocks())


def test_samples_that_are_no_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.0, np.nan, 0.5]), 16_000, subtype="FLOAT")
    with pytest.raises(AudioFileError, match="expected finite samples, got NaN or infinity"):
        list(open_audio(path).blocks())
