import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio.errors import AudioError
from asr.audio.files import probe, read_blocks

Make = Callable[..., np.ndarray]
LOSSLESS = [  # ending, coding, rate, channels, tolerance of a sample
    ("wav", "PCM_16", 16_000, 1, 1e-4),
    ("wav", "PCM_16", 8_000, 2, 2e-3),
    ("wav", "PCM_24", 44_100, 1, 2e-3),
    ("wav", "PCM_U8", 16_000, 1, 1e-2),
    ("wav", "FLOAT", 48_000, 2, 2e-3),
    ("wav", "DOUBLE", 96_000, 6, 2e-3),
    ("wav", "ULAW", 8_000, 1, 2e-2),
    ("wav", "ALAW", 8_000, 1, 2e-2),
    ("aiff", "PCM_16", 22_050, 1, 2e-3),
    ("flac", "PCM_16", 44_100, 2, 2e-3),
    ("flac", "PCM_24", 192_000, 1, 2e-3),
]


def whole(path: Path, block_samples: int = 16_000) -> np.ndarray:
    return np.concatenate(list(read_blocks(path, block_samples)))


def tone_of(samples: np.ndarray) -> tuple[float, float]:
    """Frequency, Hz, and root mean square of the middle."""
    middle = samples[4_000:-4_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(spectrum.argmax()) * 16_000 / len(middle), float(np.sqrt(np.mean(middle**2)))


@pytest.mark.parametrize(("ending", "coding", "rate", "channels", "tolerance"), LOSSLESS)
def test_lossless_files(
    tmp_path: Path, make_sine: Make, ending: str, coding: str, rate: int, channels: int, tolerance: float
) -> None:
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.stack([make_sine(rate, 1.5)] * channels, 1), rate, coding)
    got = whole(path)
    assert got.dtype == np.float32
    assert len(got) == 24_000
    np.testing.assert_allclose(got[500:-500], make_sine(16_000, 1.5)[500:-500], atol=tolerance)
    info = probe(path)
    assert (info.rate, info.channels, info.seconds) == (rate, channels, 1.5)
    assert coding in info.format


@pytest.mark.parametrize(
    ("name", "coding", "rate"),
    [("a.mp3", "MPEG_LAYER_III", 44_100), ("a.ogg", "VORBIS", 44_100), ("a.ogg", "OPUS", 48_000)],
)
def test_lossy_files_of_libsndfile(tmp_path: Path, make_sine: Make, name: str, coding: str, rate: int) -> None:
    path = tmp_path / name
    soundfile.write(path, np.stack([make_sine(rate, 3.0)] * 2, 1), rate, format=name[2:].upper(), subtype=coding)
    got = whole(path)
    assert len(got) == pytest.approx(48_000, abs=16)
    assert tone_of(got) == (pytest.approx(440, abs=2), pytest.approx(0.5 / 2**0.5, rel=0.03))
    assert probe(path).seconds == pytest.approx(3.0, abs=0.1)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [
        ("a.webm", "libopus", 48_000),
        ("a.mkv", "flac", 44_100),
        ("a.m4a", "aac", 44_100),
        ("a.mp4", "aac", 48_000),
        ("a.aac", "aac", 16_000),
        ("a.opus", "libopus", 48_000),
        ("a.mp3", "libmp3lame", 22_050),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_files_of_ffmpeg(
    tmp_path: Path, make_sine: Make, make_encoded: Callable[..., Path], name: str, codec: str, rate: int, channels: int
) -> None:
    tone = make_sine(rate, 3.0)
    path = make_encoded(tmp_path / name, codec, np.stack([tone] * channels, 1), rate)
    got = whole(path)
    assert len(got) == pytest.approx(48_000, abs=2_100)  # a codec's frame or two of padding
    assert tone_of(got) == (pytest.approx(440, abs=2), pytest.approx(0.5 / 2**0.5, rel=0.08))  # LAME turns down
    info = probe(path)
    assert (info.rate, info.channels) == (rate, channels)
    assert info.seconds == pytest.approx(3.0, abs=0.2)


def test_channels_are_averaged(tmp_path: Path, make_sine: Make) -> None:
    tone = make_sine(16_000, 0.5)
    soundfile.write(tmp_path / "a.wav", np.stack([tone, np.zeros_like(tone)], 1), 16_000, "FLOAT")
    np.testing.assert_array_equal(whole(tmp_path / "a.wav"), tone / 2)


def test_values_beyond_full_scale_stay(tmp_path: Path) -> None:
    loud = np.array([1.5, -3.0, 0.25], np.float32)
    soundfile.write(tmp_path / "a.wav", loud, 16_000, "FLOAT")
    np.testing.assert_array_equal(whole(tmp_path / "a.wav"), loud)


@settings(max_examples=30)
@given(length=st.integers(3, 3_000), block=st.integers(1, 1_200), rate=st.sampled_from([8_000, 16_000, 44_100]))
def test_any_block_length_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, length: int, block: int, rate: int
) -> None:
    path = tmp_path_factory.mktemp("blocks") / "a.wav"
    soundfile.write(path, np.random.default_rng(length).normal(0, 0.1, length), rate, "FLOAT")
    blocks = list(read_blocks(path, block))
    assert {len(b) for b in blocks[:-1]} <= {block}
    assert 0 < len(blocks[-1]) <= block
    np.testing.assert_array_equal(np.concatenate(blocks), whole(path, 10**6))
    assert sum(map(len, blocks)) == round(length * 16_000 / rate)


def test_a_long_file_takes_little_memory(tmp_path: Path) -> None:
    path, minute = tmp_path / "long.wav", np.random.default_rng(0).integers(-9_000, 9_000, (60 * 44_100, 2), np.int16)
    with soundfile.SoundFile(path, "w", 44_100, 2, "PCM_16") as file:
        for _ in range(4):
            file.write(minute)
    del minute
    tracemalloc.start()
    try:
        samples = sum(len(block) for block in read_blocks(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert samples == 4 * 60 * 16_000
    assert peak < 4_000_000  # the file has 42 MB


def test_a_long_container_takes_little_memory(
    tmp_path: Path, make_sine: Make, make_encoded: Callable[..., Path]
) -> None:
    path = make_encoded(tmp_path / "long.webm", "libopus", make_sine(48_000, 60), 48_000)
    tracemalloc.start()
    try:
        samples = sum(len(block) for block in read_blocks(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert samples == pytest.approx(60 * 16_000, abs=200)
    assert peak < 1_000_000  # as float32, 3.8 MB


@pytest.mark.parametrize(("bad", "rate"), [(np.nan, 16_000), (np.inf, 8_000), (-np.inf, 44_100)])
def test_not_a_number(tmp_path: Path, make_sine: Make, bad: float, rate: int) -> None:
    samples = np.stack([make_sine(rate, 2.0)] * 2, 1)
    samples[round(1.25 * rate), 1] = bad
    soundfile.write(tmp_path / "a.wav", samples, rate, "FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: expected finite samples, got NaN or infinity at 1\.250 s"):
        whole(tmp_path / "a.wav")


def test_missing(tmp_path: Path) -> None:
    for use in (probe, whole):
        with pytest.raises(AudioError, match=r"none\.wav: expected an audio file, got: No such file"):
            use(tmp_path / "none.wav")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="expected an audio file, got a folder"):
        whole(tmp_path)


def test_a_device() -> None:
    with pytest.raises(AudioError, match="/dev/zero: expected an audio file, got a pipe or device"):
        whole(Path("/dev/zero"))


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # a mode would not keep root out
    with pytest.raises(AudioError, match=r"a\.wav: expected an audio file, got: Permission denied"):
        whole(path)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioError, match="got an empty file"):
        whole(tmp_path / "a.wav")


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a.webm", "a.raw"])
def test_a_text(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Call me Ishmael.\n" * 100)
    for use in (probe, whole):
        with pytest.raises(AudioError, match=rf"{name}: expected an audio file, got"):
            use(tmp_path / name)


@pytest.mark.parametrize(("ending", "coding"), [("wav", "PCM_16"), ("aiff", "PCM_16"), ("ogg", "VORBIS")])
def test_no_samples(tmp_path: Path, ending: str, coding: str) -> None:
    soundfile.write(tmp_path / f"a.{ending}", np.zeros(0, np.float32), 16_000, coding)
    with pytest.raises(AudioError, match="expected audio, got a file of 0 samples"):
        whole(tmp_path / f"a.{ending}")


def test_one_sample_at_a_high_rate_is_less_than_one_of_ours(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(1, np.float32), 48_000)
    with pytest.raises(AudioError, match="got a file of 0 samples"):
        whole(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [1_000, 384_000])
def test_rates_out_of_range(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(10, np.float32), rate)
    with pytest.raises(AudioError, match=rf"a\.wav: expected a sample rate from 4000 to 192000 Hz, got {rate}"):
        whole(tmp_path / "a.wav")


def test_blocks_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="expected blocks of 1 sample or more, got 0"):
        whole(tmp_path / "a.wav", 0)


def test_flac_without_a_length(tmp_path: Path, make_sine: Make) -> None:
    path, tone = tmp_path / "a.flac", make_sine(16_000, 2.0)
    soundfile.write(path, tone, 16_000)
    data = bytearray(path.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's 36 bits for the number of samples: 0 is "unknown"
    data[22:26] = bytes(4)
    path.write_bytes(data)
    np.testing.assert_allclose(whole(path), tone, atol=1e-4)
    assert probe(path).seconds == 0.0


def test_imports_no_tensorflow() -> None:
    code = "import sys, asr.audio.files as f; sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'jax')))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
