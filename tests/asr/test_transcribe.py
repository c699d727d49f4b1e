"""Recordings to files of text: any kind of input, bad ones among good ones, again, and with a failing disk."""

import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.audio.files import read_blocks
from asr.decoding.phrases import PHRASE_WEIGHT
from asr.decoding.words import WordRule
from asr.engine_kind import EngineKind
from asr.errors import AsrError
from asr.formats import format_transcript
from asr.model_folder import save_word_rule
from asr.output import STATE_FILE
from asr.streaming.recognizer import Recognizer
from asr.transcribe import transcribe_files

RATE = 16_000


@pytest.fixture
def transcribe(
    model_folder: Path, recogniser: Callable[..., Recognizer], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[Path]]:
    """`transcribe_files` with the random model, compiled once for all tests."""

    def made(model: Path, chunk_ms: int, streams: int, beam: int, **weights: object) -> Recognizer:
        assert streams >= 1 and beam == 1
        assert weights.pop("engine") is EngineKind.xla
        assert weights == {"lm_weight": None, "ilm_weight": None, "phrase_weight": PHRASE_WEIGHT}
        return recogniser(chunk_ms, 3)

    monkeypatch.setattr("asr.transcribe.Recognizer", made)

    def run(files: list[Path], kind: str = "text", output: Path | None = None, chunk_ms: int = 640) -> list[Path]:
        return transcribe_files(files, kind, chunk_ms, output, model_folder, 3, engine=EngineKind.xla)

    return run


@pytest.fixture
def write(tmp_path: Path, make_audio: Callable) -> Callable[..., Path]:
    """Writes a recording; its seed decides what is said."""

    def made(name: str, seconds: float = 3.0, seed: int = 1, **form: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, make_audio(seconds, seed), RATE, **form)
        return path

    return made


@pytest.fixture
def expected(recogniser: Callable[..., Recognizer]) -> Callable[[Path, str], str]:
    """What a file's result must be."""

    def made(path: Path, kind: str = "text") -> str:
        transcript = recogniser(640, 3).transcribe(read_blocks(path))
        assert transcript.text
        return format_transcript(transcript, kind, "random")

    return made


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != STATE_FILE)


@pytest.mark.parametrize("kind", ["text", "json", "srt", "vtt"])
def test_each_file_gets_its_result(
    transcribe: Callable, write: Callable, expected: Callable, tmp_path: Path, kind: str
) -> None:
    files = [write("a.wav"), write("b.flac", 4.4, 2), write("c.wav", 0.7, 3, subtype="FLOAT"), write("d.wav", 2.0, 4)]
    assert transcribe(files, kind, tmp_path / "out") == []
    ending = {"text": "txt"}.get(kind, kind)
    assert names_in(tmp_path / "out") == [f"{file.name}.{ending}" for file in files]
    for file in files[:2]:
        assert (tmp_path / "out" / f"{file.name}.{ending}").read_text() == expected(file, kind)


def test_standard_output_is_in_the_order_of_the_files(
    transcribe: Callable, write: Callable, expected: Callable, capsys: pytest.CaptureFixture
) -> None:
    """Also where a short file ends first, and a file that is named twice is there once."""
    long, short = write("long.wav", 5.0, 2), write("short.wav", 3.0, 1)
    assert transcribe([long, short, long]) == []
    assert capsys.readouterr().out == f"{long}: {expected(long)}{short}: {expected(short)}"
    transcribe([short])
    assert capsys.readouterr().out == expected(short)
    transcribe([long, short], "json")
    printed = capsys.readouterr().out
    assert printed == expected(long, "json") + expected(short, "json")


def bad_files(folder: Path, sound: np.ndarray) -> dict[str, tuple[bytes, str]]:
    """Files that cannot be transcribed: bytes, and what must be said of them."""
    for name, samples, form in (
        ("whole.wav", sound, {}),
        ("whole.flac", sound, {}),
        ("none.wav", sound[:0], {}),
        ("nan.wav", np.where(np.arange(len(sound)) == 20_000, np.nan, sound), {"subtype": "FLOAT"}),
    ):
        soundfile.write(folder / name, samples, RATE, **form)
    whole, flac = (folder / "whole.wav").read_bytes(), (folder / "whole.flac").read_bytes()
    return {
        "text.wav": (b"this is no audio\n" * 50, "expected an audio file"),
        "empty.wav": (b"", "got an empty file"),
        "cut.wav": (whole[: len(whole) // 2], "breaks off"),
        "cut.flac": (flac[: len(flac) // 2], "broken off"),
        "header.wav": (whole[:20], "header.wav: "),
        "none.wav": ((folder / "none.wav").read_bytes(), "0 samples"),
        "nan.wav": ((folder / "nan.wav").read_bytes(), "expected finite samples, got NaN or infinity at 1.250 s"),
    }


def test_bad_files_are_reported_and_the_others_written(
    transcribe: Callable,
    write: Callable,
    expected: Callable,
    make_audio: Callable,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    good = [write("first.wav", 3.0, 1), write("last.wav", 4.0, 2)]
    bad = []
    for name, (content, _) in (cases := bad_files(tmp_path, make_audio(3.0, 5))).items():
        (tmp_path / "bad").mkdir(exist_ok=True)
        bad.append(tmp_path / "bad" / name)
        bad[-1].write_bytes(content)
    bad += [tmp_path / "missing.wav", tmp_path / "bad"]
    failed = transcribe([good[0], *bad, good[1]], output=tmp_path / "out")
    assert sorted(failed) == sorted(bad)
    assert names_in(tmp_path / "out") == ["first.wav.txt", "last.wav.txt"]
    for file in good:
        assert (tmp_path / "out" / f"{file.name}.txt").read_text() == expected(file)
    said = " ".join(capsys.readouterr().err.split())  # the terminal's width breaks lines
    assert said.count("error: ") == len(bad)
    for name, (_, message) in cases.items():
        part = said[said.replace(" ", "").index(name) if name not in said else said.index(name) :]
        assert message in part, (name, said)
    assert "missing.wav: expected an audio file, got: No such file or directory" in said


def test_another_run_does_what_is_left(
    transcribe: Callable, write: Callable, expected: Callable, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out, files = tmp_path / "out", [write("a.wav"), write("b.wav", 2.0, 2)]
    transcribe(files, output=out)

    def state() -> dict[str, tuple[int, bytes]]:
        return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in out.iterdir()}

    before = state()
    transcribe(files, output=out)
    assert state() == before
    assert "2 of 2 files are done already" in capsys.readouterr().err
    files.append(write("c.wav", 2.5, 3))
    (out / "a.wav.txt").unlink()
    transcribe(files, output=out)
    after = state()
    assert after["b.wav.txt"] == before["b.wav.txt"]
    assert after["a.wav.txt"][1] == before["a.wav.txt"][1]
    assert "1 of 3 files are done already" in capsys.readouterr().err
    write("b.wav", 4.0, 4)  # another recording of that name
    transcribe(files, output=out)
    assert state()["a.wav.txt"] == after["a.wav.txt"]
    assert (out / "b.wav.txt").read_text() == expected(files[1]) != before["b.wav.txt"][1].decode()


def test_another_chunk_size_or_model_does_it_again(
    transcribe: Callable, write: Callable, model_folder: Path, tmp_path: Path
) -> None:
    out, file, copy = tmp_path / "out", write("a.wav"), tmp_path / "copy"
    path = out / "a.wav.txt"
    shutil.copytree(model_folder, copy)

    def done_again(chunk_ms: int, model: Path) -> bool:
        if path.exists():
            os.utime(path, ns=(0, 0))
        transcribe_files([file], "text", chunk_ms, out, model, 1, engine=EngineKind.xla)
        return path.stat().st_mtime_ns > 0

    runs = [(640, model_folder), (1280, model_folder), (1280, copy), (1280, copy)]
    assert [done_again(*run) for run in runs] == [True, True, True, False]
    save_word_rule(copy, WordRule(start_lag_ms=80))  # other times of the same words
    assert done_again(1280, copy) and not done_again(1280, copy)
    transcribe([file], "json", out, 1280)
    assert names_in(out) == ["a.wav.json", "a.wav.txt"]


def test_two_files_of_one_name_are_refused(transcribe: Callable, write: Callable, tmp_path: Path) -> None:
    files = [write("one/a.wav"), write("two/a.wav", 2.0, 2)]
    with pytest.raises(AsrError, match=r"one/a\.wav and .*two/a\.wav would both be written to .*out/a\.wav\.txt"):
        transcribe(files, output=tmp_path / "out")
    assert names_in(tmp_path / "out") == []
    assert transcribe(files) == []  # standard output has room for both


@pytest.mark.parametrize(
    ("rate", "channels", "subtype", "seconds"),
    [(8000, 2, "PCM_16", 3.0), (48_000, 1, "PCM_24", 3.0), (16_000, 1, "PCM_16", 1.0), (44_100, 2, "FLOAT", 2.5)],
)
def test_any_rate_channels_and_width(
    transcribe: Callable, tmp_path: Path, make_audio: Callable, rate: int, channels: int, subtype: str, seconds: float
) -> None:
    sound = make_audio(seconds * rate / RATE, 1)[:, None]
    soundfile.write(tmp_path / "a.wav", np.repeat(sound, channels, 1), rate, subtype)
    assert transcribe([tmp_path / "a.wav"], "json", tmp_path / "out") == []
    result = json.loads((tmp_path / "out" / "a.wav.json").read_text())
    assert result["duration_ms"] == 1000 * seconds
    assert result["model"] == "random"
    assert all(word["end_ms"] <= 1000 * seconds for s in result["segments"] for word in s["words"])


def test_24_bits_are_as_16_at_any_gain_of_width(
    transcribe: Callable, write: Callable, expected: Callable, tmp_path: Path
) -> None:
    """The same sound in three widths says the same."""
    files = [write(f"{width}.wav", 3.0, 2, subtype=width) for width in ("PCM_24", "PCM_32", "FLOAT")]
    transcribe(files, output=tmp_path / "out")
    assert len({(tmp_path / "out" / f"{file.name}.txt").read_text() for file in files}) == 1
    assert (tmp_path / "out" / "FLOAT.wav.txt").read_text() == expected(files[2])


def test_a_minute_of_silence(transcribe: Callable, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros(60 * RATE), RATE)
    for kind in ("json", "srt", "vtt", "text"):
        assert transcribe([tmp_path / "a.flac"], kind, tmp_path / "out") == []
    result = json.loads((tmp_path / "out" / "a.flac.json").read_text())
    assert result["duration_ms"] == 60_000
    assert (tmp_path / "out" / "a.flac.vtt").read_text().startswith("WEBVTT\n")


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failing_disk_leaves_nothing_half_written(
    transcribe: Callable, write: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    out, files = tmp_path / "out", [write("a.wav"), write("b.wav", 2.0, 2)]
    transcribe(files[:1], output=out)
    before = (out / "a.wav.txt").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full) if failing == "fsync" else patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            transcribe(files, output=out)
    assert names_in(out) == ["a.wav.txt"]
    assert (out / "a.wav.txt").read_bytes() == before
    transcribe(files, output=out)
    assert names_in(out) == ["a.wav.txt", "b.wav.txt"]


def test_a_long_file_needs_little_memory(transcribe: Callable, tmp_path: Path, make_audio: Callable) -> None:
    sound = make_audio(15.0, 1)
    with soundfile.SoundFile(tmp_path / "long.wav", "w", RATE, 1) as file:
        for _ in range(16):  # four minutes: 15 MB as the model reads them
            file.write(sound)
    tracemalloc.start()
    try:
        assert transcribe([tmp_path / "long.wav"], "json", tmp_path / "out") == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert json.loads((tmp_path / "out" / "long.wav.json").read_text())["duration_ms"] == 240_000
    assert peak < 6_000_000
