import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from asr.audio.containers import decode_container, probe_container
from asr.audio.errors import AudioError
from asr.audio.files import read_blocks

Make = Callable[..., np.ndarray]
Encode = Callable[..., Path]


def length(path: Path) -> int:
    return sum(map(len, read_blocks(path)))


def test_shape_and_type(tmp_path: Path, make_sine: Make, make_encoded: Encode) -> None:
    stereo = np.stack([make_sine(48_000, 0.5), np.zeros(24_000, np.float32)], 1)
    parts = list(decode_container(make_encoded(tmp_path / "a.mkv", "flac", stereo, 48_000)))
    got = np.concatenate(parts)
    assert {(p.dtype, p.ndim, p.shape[1]) for p in parts} == {(np.dtype(np.float32), 2, 2)}
    np.testing.assert_allclose(got, stereo, atol=1e-4)


def write_video(path: Path, tone: np.ndarray | None) -> Path:
    """Two seconds of black at 10 pictures a second, and sound if there is some."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        audio = None if tone is None else container.add_stream("flac", rate=16_000, layout="mono")
        for number in range(20):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            picture.pts = number
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if audio is not None and tone is not None:
            frame = av.AudioFrame.from_ndarray((tone * 32_767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16_000, 0
            for part in (*av.AudioResampler("s16", "mono", 16_000, frame_size=4_608).resample(frame), None):
                container.mux(audio.encode(part))
    return path


def test_sound_shorter_than_its_video_is_whole(tmp_path: Path, make_sine: Make) -> None:
    path = write_video(tmp_path / "a.mkv", make_sine(16_000, 4_608 * 3 / 16_000))
    assert probe_container(path).seconds == pytest.approx(2.0, abs=0.2)
    assert length(path) == 4_608 * 3


def test_video_without_sound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", None)
    for use in (probe_container, lambda p: list(decode_container(p))):
        with pytest.raises(AudioError, match=r"a\.mkv: expected an audio file, got matroska,webm without audio"):
            use(path)


@pytest.mark.parametrize("loud_first", [True, False])
def test_untagged_vbr_mp3_is_read_to_its_end(tmp_path: Path, make_untagged_vbr: Encode, loud_first: bool) -> None:
    rng = np.random.default_rng(0)
    halves = [rng.normal(0, 0.3, 44_100 * 10), rng.normal(0, 1e-4, 44_100 * 20)]
    samples = np.concatenate(halves if loud_first else halves[::-1])
    path = make_untagged_vbr(tmp_path / "a.mp3", samples)
    with soundfile.SoundFile(path) as file:
        assert abs(file.frames - len(samples)) > 44_100 / 4  # why libsndfile is not asked
    assert length(path) == pytest.approx(30 * 16_000, abs=1_600)


@pytest.mark.parametrize(
    "tail", [b"TAG" + b"x" * 125, b"APETAGEX" + bytes.fromhex("d00700002000000000000000000000800000000000000000")]
)
def test_mp3_with_a_tag_at_its_end(tmp_path: Path, make_sine: Make, tail: bytes) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, make_sine(44_100, 2.0), 44_100)
    path.write_bytes(path.read_bytes() + tail)
    assert length(path) == pytest.approx(32_000, abs=16)


def test_mp3_files_joined_end_to_end(tmp_path: Path, make_sine: Make) -> None:
    """Of one channel, then two; the first one's tag tells only its own length."""
    soundfile.write(tmp_path / "a.mp3", make_sine(44_100, 1.0), 44_100)
    soundfile.write(tmp_path / "b.mp3", np.stack([make_sine(44_100, 2.0)] * 2, 1), 44_100)
    path = tmp_path / "c.mp3"
    path.write_bytes((tmp_path / "a.mp3").read_bytes() + (tmp_path / "b.mp3").read_bytes())
    assert length(path) == pytest.approx(48_000, abs=2_000)


def test_damage_inside_mp3(tmp_path: Path, make_sine: Make) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, make_sine(44_100, 3.0), 44_100)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 2_000] = bytes(2_000)
    path.write_bytes(data)
    with pytest.raises(AudioError, match=r"a\.mp3: damaged or broken off after 1\."):
        length(path)


def test_webm_of_a_browser_has_no_length(tmp_path: Path, make_sine: Make, make_encoded: Encode) -> None:
    path = make_encoded(tmp_path / "a.webm", "libopus", make_sine(48_000, 2.0), 48_000, {"live": "1"})
    assert probe_container(path).seconds == 0.0
    assert length(path) == pytest.approx(32_000, abs=16)


def test_a_picture_is_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1, width=8, height=8, pix_fmt="rgb24")
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"a\.png: expected an audio file, got"):
        length(path)


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)  # importing it raises
    with pytest.raises(AudioError, match=r"a\.webm: PyAV is needed for this kind of file"):
        probe_container(tmp_path / "a.webm")
