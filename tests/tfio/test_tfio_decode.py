"""Runs in the tfio environment only: `make test-tfio`."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the two old packages' own imports
    import tensorflow as tf
    import tensorflow_io  # noqa: F401 -- loads its file systems

from data.audio import load_audio
from data.manifest import ManifestError, Utterance
from data.tfio_decode import read_remote_manifest, sample_dataset

FORMATS = [
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "PCM_U8"),
    ("wav", "FLOAT"),
    ("flac", "PCM_16"),
    ("flac", "PCM_24"),
    ("ogg", "VORBIS"),
    ("mp3", "MPEG_LAYER_III"),
]


def write_tone(path: Path, subtype: str, rate: int = 16_000, channels: int = 1, seconds: float = 0.5) -> None:
    time = np.arange(int(rate * seconds)) / rate
    tones = [0.4 * np.sin(2 * np.pi * (300 + 200 * c) * time) for c in range(channels)]
    soundfile.write(path, np.stack(tones, axis=1), rate, subtype=subtype, format=path.suffix[1:].upper())


def utterance(path: str) -> Utterance:
    return Utterance("u", path, 0.5, "s", "a", "train")


def decoded(path: str) -> np.ndarray:
    (element,) = sample_dataset([utterance(path)])
    assert element["id"].numpy() == b"u"
    return element["samples"].numpy()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
def test_samples_are_those_of_load_audio(tmp_path: Path, suffix: str, subtype: str, channels: int) -> None:
    path = tmp_path / f"tone.{suffix}"
    write_tone(path, subtype, channels=channels)
    expected = load_audio(path)
    samples = decoded(str(path))
    assert samples.dtype == np.float32
    assert samples.shape == expected.shape
    np.testing.assert_allclose(samples, expected, atol=2e-5 if suffix in ("mp3", "ogg") else 1e-6)


@pytest.mark.parametrize("rate", [8000, 44_100])
@pytest.mark.parametrize(("suffix", "subtype"), [("wav", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS")])
def test_other_rates_come_out_at_16_khz(tmp_path: Path, suffix: str, subtype: str, rate: int) -> None:
    path = tmp_path / f"tone.{suffix}"
    write_tone(path, subtype, rate=rate)
    expected, samples = load_audio(path), decoded(str(path))
    assert abs(len(samples) - len(expected)) <= 1
    middle = slice(800, 7200)  # the resamplers treat the ends of a file differently
    error = samples[middle] - expected[middle]
    assert np.mean(error**2) < 1e-3 * np.mean(expected[middle] ** 2)


@pytest.mark.parametrize("rate", [22_050, 44_100])
def test_mp3_rates_of_both_versions(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "tone.mp3"
    write_tone(path, "MPEG_LAYER_III", rate=rate)
    assert abs(len(decoded(str(path))) - len(load_audio(path))) <= 1


def test_wav_with_a_chunk_before_its_format(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    write_tone(path, "PCM_16")
    expected, data = load_audio(path), path.read_bytes()
    path.write_bytes(data[:12] + b"JUNK" + (4).to_bytes(4, "little") + b"\0" * 4 + data[12:])
    np.testing.assert_allclose(decoded(str(path)), expected, atol=1e-6)


@pytest.mark.parametrize("scheme", ["ram://", "file://"])
def test_remote_file_systems(tmp_path: Path, scheme: str) -> None:
    local = tmp_path / "tone.flac"
    write_tone(local, "PCM_16")
    folder = f"{scheme}{tmp_path}/remote"
    tf.io.gfile.makedirs(folder)
    with tf.io.gfile.GFile(f"{folder}/tone.flac", "wb") as file:
        file.write(local.read_bytes())
    record = {"id": "u", "audio": "tone.flac", "seconds": 0.5, "speaker": "s", "text": "a", "split": "train"}
    with tf.io.gfile.GFile(f"{folder}/manifest.jsonl", "wb") as file:
        file.write(json.dumps(record).encode() + b"\n")
    (found,) = read_remote_manifest(f"{folder}/manifest.jsonl", splits=["train"])
    assert found.audio == f"{folder}/tone.flac"
    np.testing.assert_array_equal(decoded(found.audio), load_audio(local))


def test_remote_manifest_names_the_line_of_a_missing_file() -> None:
    record = {"id": "u", "audio": "gone.flac", "seconds": 0.5, "speaker": "s", "text": "a", "split": "train"}
    with tf.io.gfile.GFile("ram://broken/manifest.jsonl", "wb") as file:
        file.write(json.dumps(record).encode() + b"\n")
    with pytest.raises(ManifestError, match=r"ram://broken/manifest.jsonl:1: audio: no such file: ram://broken/gone"):
        read_remote_manifest("ram://broken/manifest.jsonl")
    assert len(read_remote_manifest("ram://broken/manifest.jsonl", check_audio=False)) == 1


def test_missing_remote_manifest() -> None:
    with pytest.raises(ManifestError, match=r"ram://nowhere/manifest.jsonl: cannot read"):
        read_remote_manifest("ram://nowhere/manifest.jsonl")


def test_many_files_keep_their_order(tmp_path: Path) -> None:
    utterances = []
    for i in range(8):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, np.full(160 * (i + 1), 0.01 * i), 16_000, subtype="FLOAT")
        utterances.append(Utterance(str(i), str(path), 0.01 * (i + 1), "s", "a", "train"))
    elements = list(sample_dataset(utterances, parallel=4).as_numpy_iterator())
    assert [e["id"] for e in elements] == [str(i).encode() for i in range(8)]
    assert [len(e["samples"]) for e in elements] == [160 * (i + 1) for i in range(8)]


@pytest.mark.parametrize("contents", [b"", b"not audio at all"])
def test_no_audio_is_refused_by_name(tmp_path: Path, contents: bytes) -> None:
    path = tmp_path / "speech.wav"
    path.write_bytes(contents)
    expected = r"speech.wav: expected WAV, FLAC, Ogg Vorbis or MP3"
    with pytest.raises(tf.errors.InvalidArgumentError, match=expected):
        decoded(str(path))


def test_opus_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "speech.ogg"
    soundfile.write(path, np.zeros(16_000), 16_000, format="OGG", subtype="OPUS")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"speech.ogg: expected WAV, FLAC, Ogg Vorbis"):
        decoded(str(path))


def test_nan_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, np.nan, 0.0]), 16_000, subtype="FLOAT")
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"nan.wav: expected finite samples"):
        decoded(str(path))


def test_no_samples_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0), 16_000)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"empty.wav: expected audio, got 0 samples"):
        decoded(str(path))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(tf.errors.NotFoundError, match=r"gone.flac"):
        decoded(str(tmp_path / "gone.flac"))
