import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from data.audio import AudioError, audio_seconds, load_audio, recordings_in


def tone(rate: int, seconds: float = 0.5, hz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "PCM_16"), ("a.wav", "PCM_24"), ("a.flac", "PCM_24"), ("a.wav", "FLOAT")]
)
def test_any_rate_and_depth(tmp_path: Path, rate: int, name: str, subtype: str) -> None:
    soundfile.write(tmp_path / name, tone(rate), rate, subtype=subtype)
    samples = load_audio(tmp_path / name)
    assert samples.dtype == np.float32
    assert samples.flags.c_contiguous
    assert samples.shape == (8000,)
    np.testing.assert_allclose(samples[400:-400], tone(16_000)[400:-400], atol=1e-3)
    assert audio_seconds(tmp_path / name) == pytest.approx(0.5)


def test_recordings_of_a_folder_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    for missing in (tmp_path, tmp_path / "gone"):
        with pytest.raises(AudioError, match="expected a folder of recordings, found none"):
            recordings_in(missing)
    for name in ("b.wav", "a.wav", ".hidden"):
        (tmp_path / name).touch()
    assert [path.name for path in recordings_in(tmp_path)] == ["a.wav", "b.wav"]


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    left, right = tone(8000), tone(8000, hz=300.0)
    soundfile.write(path, np.stack([left, right], axis=1), 8000, subtype="FLOAT")
    soundfile.write(tmp_path / "mono.wav", (left + right) / 2, 8000, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(path), load_audio(tmp_path / "mono.wav"), atol=1e-6)


@pytest.mark.parametrize(("name", "subtype"), [("a.ogg", "OPUS"), ("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III")])
def test_lossy_formats(tmp_path: Path, name: str, subtype: str) -> None:
    soundfile.write(tmp_path / name, tone(16_000, 2.0), 16_000, subtype=subtype)
    samples = load_audio(tmp_path / name)
    assert len(samples) == pytest.approx(32_000, abs=2400)
    assert np.std(samples[8000:24_000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert audio_seconds(tmp_path / name) == pytest.approx(len(samples) / 16_000, abs=0.01)


def write_webm(path: Path, rate: int = 48_000) -> None:
    """Stereo Opus in WebM, as browsers record it: libsndfile knows no WebM."""
    with av.open(str(path), "w", format="webm") as container:
        stream = container.add_stream("libopus", rate=rate, layout="stereo")
        sound = np.repeat((tone(rate, 1.0) * 32_767).astype(np.int16), 2)[None]  # interleaved
        frame = av.AudioFrame.from_ndarray(sound, format="s16", layout="stereo")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def test_what_libsndfile_cannot_open_goes_through_pyav(tmp_path: Path) -> None:
    path = tmp_path / "browser.webm"
    write_webm(path)
    samples = load_audio(path)
    assert len(samples) == pytest.approx(16_000, abs=700)
    assert np.std(samples[4000:12_000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert audio_seconds(path) == pytest.approx(1.0, abs=0.05)


def test_without_pyav_the_reason_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.webm").write_bytes(b"\x1a\x45\xdf\xa3")
    monkeypatch.setitem(sys.modules, "av", None)  # importing it raises
    for read in (load_audio, audio_seconds):
        with pytest.raises(AudioError, match=r"a.webm: libsndfile cannot decode it \(.*\) and PyAV, .* not installed"):
            read(tmp_path / "a.webm")


def test_no_audio(tmp_path: Path) -> None:
    path = tmp_path / "letter.wav"
    path.write_text("Dear Sir or Madam, " * 50)
    for read in (load_audio, audio_seconds):
        with pytest.raises(AudioError, match=r"letter.wav: expected audio: .*; FFmpeg: Invalid data"):
            read(path)


def test_a_video_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "silent.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    for read in (load_audio, audio_seconds):
        with pytest.raises(AudioError, match=r"silent.mp4: expected audio, got a file without an audio stream"):
            read(path)


def test_missing_and_empty_files(tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    for read in (load_audio, audio_seconds):
        with pytest.raises(AudioError, match=r"gone.wav: no such file"):
            read(tmp_path / "gone.wav")
        with pytest.raises(AudioError, match=r"empty.wav: expected audio, got an empty file"):
            read(tmp_path / "empty.wav")
        with pytest.raises(AudioError, match=r"no such file"):
            read(tmp_path)


def test_no_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), 16_000)
    for read in (load_audio, audio_seconds):
        with pytest.raises(AudioError, match=r"a.wav: expected audio, got 0 samples"):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.0, value, 0.0]), 16_000, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a.wav: expected finite samples, got NaN or infinity"):
        load_audio(tmp_path / "a.wav")


def test_a_cut_off_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 32_000), 16_000)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(AudioError, match=r"a.flac: "):
        load_audio(path)


@pytest.fixture
def open_flac(tmp_path: Path) -> Path:
    """A FLAC file whose header leaves the length open, as one written to a pipe; a.flac is the same with it."""
    soundfile.write(tmp_path / "a.flac", np.random.default_rng(0).uniform(-0.5, 0.5, (70_000, 2)), 22_050)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    data[21] &= 0xF0  # STREAMINFO's 36 bits of samples in all
    data[22:26] = bytes(4)
    (tmp_path / "open.flac").write_bytes(data)
    return tmp_path / "open.flac"


def test_flac_without_a_length_is_read_to_its_end(open_flac: Path) -> None:
    assert soundfile.info(open_flac).frames > 2**62
    np.testing.assert_array_equal(load_audio(open_flac), load_audio(open_flac.with_name("a.flac")))
    assert audio_seconds(open_flac) == audio_seconds(open_flac.with_name("a.flac")) == 70_000 / 22_050


def test_flac_without_a_length_needs_pyav(open_flac: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for read in (load_audio, audio_seconds):
        with pytest.raises(AudioError, match=r"open\.flac: .*its header tells no length.* PyAV, .* not installed"):
            read(open_flac)


def untagged_mp3(path: Path, parts: list[np.ndarray], mode: str = "VARIABLE") -> Path:
    """An MP3 without the first frame that tells its length, which is then estimated from its first bit rate."""
    with soundfile.SoundFile(path, "w", 44_100, 1, format="MP3", bitrate_mode=mode, compression_level=0.3) as file:
        file.write(np.concatenate(parts))
    data = path.read_bytes()
    path.write_bytes(data[data.index(data[:2], 2) :])
    return path


@pytest.mark.parametrize("loud_first", [True, False])
def test_mp3_is_read_to_its_end(tmp_path: Path, loud_first: bool) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.normal(0, 0.3, 44_100 * 10), rng.normal(0, 1e-4, 44_100 * 20)]
    path = untagged_mp3(tmp_path / "a.mp3", parts if loud_first else parts[::-1])
    assert abs(soundfile.info(path).duration - 30) > 0.25  # what libsndfile would stop at
    assert len(load_audio(path)) == pytest.approx(30 * 16_000, abs=1600)
    assert audio_seconds(path) == pytest.approx(30, abs=0.1)


def test_mp3_that_tells_its_length_needs_no_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.mp3", tone(44_100, 2.0), 44_100)
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x2c" + bytes(300)  # 2 x 128 + 44 bytes
    (tmp_path / "tagged.mp3").write_bytes(tag + (tmp_path / "a.mp3").read_bytes())
    through_av = [load_audio(tmp_path / name) for name in ("a.mp3", "tagged.mp3")]
    monkeypatch.setitem(sys.modules, "av", None)
    for name, expected in zip(("a.mp3", "tagged.mp3"), through_av, strict=True):
        samples = load_audio(tmp_path / name)
        assert len(samples) == pytest.approx(len(expected), abs=420)  # a frame of the codec
        assert audio_seconds(tmp_path / name) == pytest.approx(2.0, abs=0.03)
        np.testing.assert_allclose(samples[4000:28_000], expected[4000:28_000], atol=1e-3)


def test_mp3_of_unknown_length_without_pyav_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = untagged_mp3(tmp_path / "a.mp3", [tone(44_100, 2.0)])
    monkeypatch.setitem(sys.modules, "av", None)
    for read in (load_audio, audio_seconds):
        with pytest.raises(AudioError, match=r"a\.mp3: an MP3 file that does not tell its length, which only PyAV"):
            read(path)


@pytest.mark.parametrize("pyav", [True, False])
def test_a_cut_off_mp3_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pyav: bool) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 88_200), 44_100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if not pyav:
        monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match=r"a\.mp3: "):
        load_audio(path)
