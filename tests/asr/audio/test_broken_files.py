"""Files that break off or are damaged: an error, never a shorter file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio.errors import AudioError
from asr.audio.files import probe, read_blocks

Make = Callable[..., np.ndarray]


def whole(path: Path) -> np.ndarray:
    return np.concatenate(list(read_blocks(path)))


def cut(path: Path, part: float = 0.6) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


@pytest.mark.parametrize(
    ("name", "coding"),
    [("a.wav", "PCM_16"), ("a.aiff", "PCM_24"), ("a.flac", "PCM_16"), ("a.ogg", "VORBIS"), ("a.ogg", "OPUS")],
)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_broken_off_for_libsndfile(tmp_path: Path, name: str, coding: str, part: float) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * 48_000)
    soundfile.write(tmp_path / name, noise, 48_000, subtype=coding)
    with pytest.raises(AudioError, match=rf"{name}: (damaged or broken|breaks) off"):
        whole(cut(tmp_path / name, part))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.webm", "libopus", {}),
        ("a.mkv", "flac", {}),
        ("a.mp4", "aac", {"movflags": "faststart"}),
        ("a.mp3", "libmp3lame", {}),
        ("a.aac", "aac", {}),
    ],
)
@pytest.mark.parametrize("part", [0.3, 0.6])
def test_broken_off_for_ffmpeg(
    tmp_path: Path,
    make_sine: Make,
    make_encoded: Callable[..., Path],
    name: str,
    codec: str,
    options: dict[str, str],
    part: float,
) -> None:
    path = make_encoded(tmp_path / name, codec, make_sine(48_000, 5.0), 48_000, options)
    assert len(whole(path)) == pytest.approx(80_000, abs=2_100)
    with pytest.raises(AudioError, match=rf"{name}: (damaged or broken|breaks) off"):
        whole(cut(path, part))


def test_mp4_whose_index_is_cut_off(tmp_path: Path, make_sine: Make, make_encoded: Callable[..., Path]) -> None:
    path = make_encoded(tmp_path / "a.mp4", "aac", make_sine(48_000, 2.0), 48_000)
    with pytest.raises(AudioError, match=r"a\.mp4: expected an audio file, got something else"):
        probe(cut(path))


def test_blocks_before_the_damage_come_first(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * 16_000)
    soundfile.write(path, noise, 16_000)
    blocks = read_blocks(cut(path))
    np.testing.assert_allclose(next(blocks), noise[:16_000], atol=1e-4)
    with pytest.raises(AudioError, match="off after"):
        list(blocks)


def test_a_hole_in_vorbis_is_not_passed_over(tmp_path: Path, make_sine: Make) -> None:
    path = tmp_path / "a.ogg"
    soundfile.write(path, make_sine(44_100, 3.0), 44_100, subtype="VORBIS")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 500] = bytes(500)
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.ogg: damaged"):
        whole(path)
