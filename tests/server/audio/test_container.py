import io
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from server.audio import AudioError, container
from server.audio.container import ContainerDecoder
from tests.server.audio.making import KINDS, Stream, cut, decode, tone
from tests.server.audio.making import container as make

SAMPLES = Path(__file__).parents[3] / "data" / "samples"


def decode_until_it_fails(data: bytes, size: int = 500) -> tuple[NDArray[np.float32], str]:
    """Samples that came, those of the error included, and its text."""
    decoder = ContainerDecoder()
    got: list[NDArray[np.float32]] = []
    try:
        for piece in cut(data, size):
            got.append(decoder.decode(piece))
        decoder.finish()
    except AudioError as error:
        samples = np.concatenate([*got, error.samples])
        assert decoder.samples == len(samples)
        return samples, str(error)
    finally:
        decoder.close()
    pytest.fail("expected an error")


def undamaged(data: bytes) -> NDArray[np.float32]:
    """What comes of a container's beginning before its decoder is told that there is no more."""
    decoder = ContainerDecoder()
    try:
        return decoder.decode(data)
    finally:
        decoder.close()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_its_sound_at_16_khz(kind: str, channels: int) -> None:
    decoder = ContainerDecoder()
    got = decode(decoder, make(kind, channels=channels))
    expected = tone(2.0, 16_000)
    delays = range(2_300) if "mp" in kind or kind == "adts" else range(1)  # codecs that start with silence
    error = min(float(np.abs(got[d : d + 30_000] - expected[:30_000]).mean()) for d in delays)
    assert error < 0.03
    assert decoder.samples == len(got) == pytest.approx(32_000, abs=2_600)
    assert got.dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_the_cut_does_not_matter(kind: str) -> None:
    data = make(kind, seconds=0.7)
    whole = decode(ContainerDecoder(), data, len(data))
    np.testing.assert_array_equal(decode(ContainerDecoder(), data, 333), whole)


def test_one_byte_at_a_time() -> None:
    data = make("webm opus", seconds=0.3)
    np.testing.assert_array_equal(decode(ContainerDecoder(), data, 1), decode(ContainerDecoder(), data, 10**6))


@pytest.mark.parametrize("kind", KINDS)
def test_sound_comes_out_while_it_goes_in(kind: str) -> None:
    decoder = ContainerDecoder()
    data = make(kind, seconds=5.0)
    got = [len(decoder.decode(piece)) for piece in cut(data, len(data) // 50)]
    decoder.close()
    assert sum(got[:25]) > 16_000, "half of it gave less than a second"


@pytest.mark.parametrize("name", ["422-122949-0033.mp3", "common_voice_en_37228932.opus"])
def test_real_recordings(name: str) -> None:
    got = decode(ContainerDecoder(), (SAMPLES / name).read_bytes(), 4_000)
    samples, rate = soundfile.read(SAMPLES / name, dtype="float32", always_2d=True)
    expected = soxr.resample(samples.mean(axis=1), rate, 16_000)
    assert len(got) == pytest.approx(len(expected), abs=2_000)
    shift = int(np.argmax(np.correlate(got[8_000:24_000], expected[10_000:22_000], "valid"))) - 2_000
    start = 8_000 - min(shift, 0)
    ours, theirs = got[start + shift : start + shift + 8_000], expected[start : start + 8_000]
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 200_000,
        b"nothing that anybody would listen to " * 6_000,
        bytes(np.random.default_rng(0).bytes(200_000)),
    ],
)
def test_noise_is_no_container(data: bytes) -> None:
    samples, text = decode_until_it_fails(data, 10_000)
    assert len(samples) == 0
    assert text.startswith("expected Ogg, WebM, FLAC, MP3, MP4 (with its index first), ADTS or WAV with audio, got")


@pytest.mark.parametrize("text", [b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", b"ffconcat version 1.0\nfile /etc/passwd\n"])
def test_lists_of_other_files_are_not_followed(text: bytes) -> None:
    _, refusal = decode_until_it_fails(text * 50)
    assert refusal.startswith("expected Ogg") and "passwd" not in refusal


def test_a_container_without_audio_is_refused() -> None:
    file = Stream()
    with av.open(file, "w", format="webm") as output:
        stream = output.add_stream("libvpx", rate=10)
        stream.width = stream.height = 32
        for n in range(5):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 50 * n, np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    samples, text = decode_until_it_fails(bytes(file.data))
    assert len(samples) == 0 and "audio" in text


@pytest.mark.parametrize("size", [1024, 32 * 1024, 10**6])
@pytest.mark.parametrize("kind", ["flac", "ogg opus", "ogg flac", "fragmented mp4"])
def test_damage_is_told_and_what_came_before_is_there(kind: str, size: int) -> None:
    data = bytearray(make(kind, seconds=6.0))
    middle = len(data) // 2
    before = undamaged(bytes(data[:middle]))
    data[middle : middle + 400] = bytes(range(1, 201)) * 2
    samples, text = decode_until_it_fails(bytes(data), size)
    assert len(before) > 25_000
    np.testing.assert_array_equal(samples[: len(before)], before)
    assert "damaged" in text


@pytest.mark.parametrize("size", [1024, 32 * 1024, 10**6])
@pytest.mark.parametrize("kind", ["ogg opus", "fragmented mp4"])
def test_what_breaks_off_is_told_and_what_came_before_is_there(kind: str, size: int) -> None:
    data = make(kind, seconds=6.0)
    data = data[: len(data) // 2]
    before = undamaged(data)
    samples, text = decode_until_it_fails(data, size)
    assert len(samples) > len(before) > 30_000  # the converter's rest, too
    np.testing.assert_array_equal(samples[: len(before)], before)
    assert "breaks off" in text


def test_a_lost_frame_is_noticed() -> None:
    pieces = list(cut(make("ogg opus", seconds=6.0), 500))
    assert "Ogg page at byte" in decode_until_it_fails(b"".join(pieces[:30] + pieces[31:]))[1]


def test_an_ogg_stream_that_breaks_off_is_told() -> None:
    assert "breaks off" in decode_until_it_fails(make("ogg opus")[:-10])[1]


def test_an_mp4_whose_index_comes_last_cannot_be_read_as_it_comes() -> None:
    memory = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 20 * 16_000)).astype(np.float32)
    with av.open(memory, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=16_000, layout="mono")
        for start in range(0, noise.shape[1] - 1_024, 1_024):
            frame = av.AudioFrame.from_ndarray(noise[:, start : start + 1_024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16_000, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert "MP4 (with its index first)" in decode_until_it_fails(memory.getvalue())[1]


def test_a_rate_beyond_all_use_is_refused() -> None:
    file = Stream()
    with av.open(file, "w", format="wav") as output:
        stream = output.add_stream("pcm_s16le", rate=2_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 2_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 2_000
        output.mux(stream.encode(frame))
    assert "from 4000 to 192000 Hz, got 2000" in decode_until_it_fails(bytes(file.data))[1]


def test_a_little_data_cannot_become_hours_of_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MOST_SECONDS", 20)
    file = Stream()
    with av.open(file, "w", format="flac") as output:
        stream = output.add_stream("flac", rate=8_000, layout="mono")
        for n in range(60):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 8_000), np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8_000, n * 8_000
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    data = bytes(file.data)
    assert len(decode(ContainerDecoder(), data, len(data) // 20)) == 60 * 16_000
    samples, text = decode_until_it_fails(data, len(data))
    assert "at most 20 s of audio at a time: send smaller frames" in text
    assert len(samples) > 20 * 16_000


@pytest.mark.parametrize("size", [500, 10**6])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_floats_that_are_no_audio_are_refused(value: float, size: int) -> None:
    file = Stream()
    with av.open(file, "w", format="wav") as output:
        stream = output.add_stream("pcm_f32le", rate=16_000, layout="mono")
        sound = tone(0.5, 16_000)
        sound[7_000] = value
        frame = av.AudioFrame.from_ndarray(sound[None], format="flt", layout="mono")
        frame.sample_rate = 16_000
        output.mux(stream.encode(frame))
    samples, text = decode_until_it_fails(bytes(file.data), size)
    np.testing.assert_array_equal(samples, sound[:7_000])
    assert text.startswith(f"expected finite samples in [-1, 1], got {np.float32(value)} at 0.438 s")


def test_after_an_error_the_decoder_says_the_same() -> None:
    decoder = ContainerDecoder()
    decoder.decode(b"x" * 1_000)
    for _ in range(2):
        with pytest.raises(AudioError, match="expected Ogg"):
            decoder.finish()
    decoder.close()


def test_no_bytes_are_no_error() -> None:
    decoder = ContainerDecoder()
    assert len(decoder.decode(b"")) == len(decoder.finish()) == 0
    decoder.close()
    assert decoder.blocking and decoder.received_bytes == 0


def test_closing_ends_the_thread_wherever_it_is() -> None:
    before = threading.active_count()
    data = make("webm opus")
    for end in (100, len(data) // 2, len(data)):
        decoder = ContainerDecoder()
        decoder.decode(data[:end])
        decoder.close()
        decoder.close()
        assert threading.active_count() == before


def test_nothing_is_decoded_after_the_end() -> None:
    decoder = ContainerDecoder()
    decoder.decode(make("ogg opus", seconds=0.2))
    decoder.finish()
    with pytest.raises(RuntimeError, match="after the end"):
        decoder.decode(b"more")


def test_resuming_goes_on_at_the_next_byte() -> None:
    data = make("webm opus")
    decoder = ContainerDecoder()
    first = decoder.decode(data[:5_000])
    decoder.realign()
    assert decoder.received_bytes == 5_000
    rest = [decoder.decode(data[5_000:]), decoder.finish()]
    np.testing.assert_array_equal(np.concatenate([first, *rest]), decode(ContainerDecoder(), data, len(data)))


def test_a_fault_of_ours_is_not_called_the_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    from server.audio import ffmpeg

    def broken(pipe: object) -> None:
        raise MemoryError("none left")

    monkeypatch.setattr(ffmpeg, "decode_stream", broken)
    decoder = ContainerDecoder()
    with pytest.raises(MemoryError, match="none left"):
        decoder.decode(b"OggS")
    decoder.close()
