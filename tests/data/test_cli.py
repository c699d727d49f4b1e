import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data import cli
from data.manifest import read_manifest

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `asr-data`; returns exit status, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit:
            cli.main([str(a) for a in arguments])
        status = exit.value.code
        assert isinstance(status, int)
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return status, out, err

    return call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "recordings"
    for speaker in ("anna", "ben"):
        (path / speaker).mkdir(parents=True)
        soundfile.write(path / speaker / "a.wav", np.full(9000, 0.1), 16_000)
        (path / speaker / "a.txt").write_text("Hello!")
    return path


def test_prepare_writes_a_manifest(run: Run, folder: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.jsonl"
    status, out, err = run("prepare", "folder", folder, "--output", manifest, "--split", "dev")
    assert (status, err) == (0, "")
    assert out.endswith(f"Wrote 2 utterances to {manifest}.\n")
    assert [(u.id, u.split) for u in read_manifest(manifest)] == [("anna/a", "dev"), ("ben/a", "dev")]


def test_prepare_says_what_it_skips(run: Run, folder: Path, tmp_path: Path) -> None:
    (folder / "ben/a.wav").write_bytes(b"")
    manifest = tmp_path / "m.jsonl"
    status, out, err = run("prepare", "folder", folder, "-o", manifest)
    assert status == 0
    assert "Wrote 1 utterances" in out
    assert "ben/a.txt: " in err
    assert "expected audio, got an empty file\nskipped: 1\n" in err
    manifest.unlink()
    status, out, err = run("prepare", "folder", folder, "-o", manifest, "--strict")
    assert (status, out) == (1, "")
    assert err.startswith("error: ")
    assert not manifest.exists()


def test_prepare_without_anything_usable_writes_nothing(run: Run, folder: Path, tmp_path: Path) -> None:
    for speaker in ("anna", "ben"):
        (folder / speaker / "a.txt").write_text("…")
    status, _, err = run("prepare", "folder", folder, "-o", tmp_path / "m.jsonl")
    assert status == 1
    assert err.endswith("expected utterances, found none that can be used\n")
    assert not (tmp_path / "m.jsonl").exists()


def test_prepare_of_another_layout(run: Run, folder: Path, tmp_path: Path) -> None:
    status, _, err = run("prepare", "ljspeech", folder, "-o", tmp_path / "m.jsonl")
    assert status == 1
    assert err == f"error: {folder}: expected metadata.csv and wavs/ as in LJSpeech-1.1\n"


def test_a_manifest_that_cannot_be_written(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    status, _, err = run("prepare", "folder", folder, "-o", tmp_path / "file" / "m.jsonl")
    assert status == 1
    assert err.startswith("error: ")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("prepare",),
        ("prepare", "timit", "x", "-o", "y"),
        ("prepare", "folder", "x"),
        ("synthesize", "t.txt", "-o", "out", "--count", "0"),
        ("synthesize", "t.txt", "-o", "out", "--format", "mp3"),
        ("check", "m.jsonl", "--loud"),
        ("sing",),
    ],
)
def test_wrong_usage_is_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert "Usage: asr-data" in out + err


def test_help_is_status_0(run: Run) -> None:
    status, out, _ = run("--help")
    assert status == 0
    for command in ("prepare", "synthesize", "check"):
        assert command in out


def write_manifest(folder: Path, *changes: dict[str, object]) -> Path:
    soundfile.write(folder / "a.wav", np.full(36_000, 0.1), 16_000)
    record = {"audio": "a.wav", "seconds": 2.25, "speaker": "s", "text": "hello", "split": "train"}
    lines = [json.dumps({"id": str(i)} | record | change) for i, change in enumerate(changes)]
    path = folder / "m.jsonl"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_check_prints_hours_and_speakers(run: Run, tmp_path: Path) -> None:
    path = write_manifest(
        tmp_path, {"seconds": 3600}, {"seconds": 1800, "speaker": "t"}, {"split": "dev", "text": None}
    )
    status, out, err = run("check", path)
    assert (status, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert rows == [
        ["split", "utterances", "hours", "speakers", "transcribed"],
        ["train", "2", "1.50", "2", "2"],
        ["dev", "1", "0.00", "1", "0"],
    ]


def test_check_names_every_problem(run: Run, tmp_path: Path) -> None:
    path = write_manifest(tmp_path, {"seconds": -1}, {}, {"audio": "gone.wav"}, {"text": "Hello!"})
    status, out, err = run("check", path)
    assert status == 1
    lines = err.splitlines()
    assert lines[0].startswith(f"{path}:1: seconds: expected a finite number above 0")
    assert lines[1].startswith(f"{path}:3: audio: no such file")
    assert lines[2] == f"{path}:4: text: expected a-z, ' and single spaces, got 'Hello!'"
    assert lines[3:] == ["problems: 3", f"error: {path}: 3 problems, 2 utterances"]
    assert "train" in out
    assert run("check", path, "--no-audio")[2].count("no such file") == 0


def test_check_decodes(run: Run, tmp_path: Path) -> None:
    path = write_manifest(tmp_path, {}, {"audio": "nan.wav"}, {"seconds": 3.0})
    soundfile.write(tmp_path / "nan.wav", np.full(100, np.nan), 16_000, subtype="FLOAT")
    assert run("check", path)[0] == 0
    status, _, err = run("check", path, "--decode")
    assert status == 1
    assert "m.jsonl:2: audio: " in err
    assert "expected finite samples" in err
    assert "m.jsonl:3: seconds: expected 2.250, as the audio has, got 3.0" in err


def test_check_shows_the_first_problems_of_many(run: Run, tmp_path: Path) -> None:
    path = write_manifest(tmp_path, *[{"seconds": 0}] * 30)
    status, _, err = run("check", path)
    assert status == 1
    assert err.count("seconds: expected") == 20
    assert "problems: 30, the first 20 shown" in err


def test_check_of_nothing(run: Run, tmp_path: Path) -> None:
    assert run("check", tmp_path / "gone.jsonl")[0] == 1
    (tmp_path / "empty.jsonl").touch()
    status, _, err = run("check", tmp_path / "empty.jsonl")
    assert (status, err) == (1, f"error: {tmp_path / 'empty.jsonl'}: 0 problems, 0 utterances\n")


def test_synthesize(run: Run, tmp_path: Path, synthesisers: Callable[..., Path]) -> None:
    synthesisers()
    (tmp_path / "t.txt").write_text("Hello there.\nGood bye.\n")
    arguments = (
        "synthesize",
        tmp_path / "t.txt",
        "--output",
        tmp_path / "out",
        "--voices",
        "flite:slt",
        "--count",
        3,
    )
    status, out, err = run(*arguments, "--jobs", 2, "--split", "s")
    assert (status, err) == (0, "")
    assert out == f"Made 3 utterances; {tmp_path / 'out' / 'manifest.jsonl'} has 3.\n"
    assert {u.speaker for u in read_manifest(tmp_path / "out" / "manifest.jsonl")} == {"synth-flite-slt"}
    assert run(*arguments)[1].startswith("Made 0 utterances")
    status, _, err = run("check", tmp_path / "out" / "manifest.jsonl", "--decode")
    assert (status, err) == (0, "")


def test_synthesize_with_failures_is_status_1(run: Run, tmp_path: Path, synthesisers: Callable[..., Path]) -> None:
    synthesisers("sys.exit('cannot') if 'slt' in arguments else None")
    (tmp_path / "t.txt").write_text("Hello there.\n")
    status, out, err = run("synthesize", tmp_path / "t.txt", "-o", tmp_path / "out", "--voices", "flite", "--count", 8)
    assert status == 1
    assert out.startswith("Made ")
    assert "flite: exit status 1: cannot\nfailed: " in err


def test_synthesize_without_its_program(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "t.txt").write_text("Hello\n")
    status, _, err = run("synthesize", tmp_path / "t.txt", "-o", tmp_path / "out")
    assert (status, err) == (1, "error: espeak-ng is not installed; Debian: apt-get install espeak-ng\n")
    assert not (tmp_path / "out").exists()


def test_pronounce_writes_the_words_of_a_manifest(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "pronunciations", lambda words, voice: {word: [[voice, *word]] for word in words})
    manifest = write_manifest(tmp_path, {"text": "the cat"}, {"text": None, "id": "u2"}, {"text": "a cat", "id": "u3"})
    status, out, err = run("pronounce", manifest, "-o", tmp_path / "said.json", "--voice", "en-gb")
    assert (status, err) == (0, "")
    assert out == f"Wrote 3 words to {tmp_path / 'said.json'}: 6 phonemes, so phonemes = 6.\n"
    found = json.loads((tmp_path / "said.json").read_text())
    assert found == {word: ["en-gb", *word] for word in ("a", "cat", "the")}


def test_pronounce_takes_further_words(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "pronunciations", lambda words, voice: {word: [[*word], ["x"]] for word in words})
    (tmp_path / "words.txt").write_text("bat\ncat\n\n")
    manifest = write_manifest(tmp_path, {"text": "the cat"})
    status, out, _ = run("pronounce", manifest, "-o", tmp_path / "said.json", "--words", tmp_path / "words.txt")
    assert (status, out) == (0, f"Wrote 3 words to {tmp_path / 'said.json'}: 7 phonemes, so phonemes = 7.\n")
    found = json.loads((tmp_path / "said.json").read_text())
    assert list(found.items()) == [(word, [[*word], ["x"]]) for word in ("bat", "cat", "the")]


def test_pronounce_of_no_transcripts(run: Run, tmp_path: Path) -> None:
    status, _, err = run("pronounce", write_manifest(tmp_path, {"text": None}), "-o", tmp_path / "said.json")
    assert (status, "expected transcribed utterances, found none" in err) == (1, True)


def test_augment_makes_copies(run: Run, folder: Path, tmp_path: Path) -> None:
    manifest, out, noise = tmp_path / "m.jsonl", tmp_path / "out", tmp_path / "noise"
    noise.mkdir()
    soundfile.write(noise / "hum.wav", np.full(4000, 0.01), 16_000)
    assert run("prepare", "folder", folder, "-o", manifest, "--split", "train")[0] == 0
    status, said, err = run("augment", manifest, "-o", out, "--copies", 2, "--noise", noise, "--jobs", 1)
    assert (status, err) == (0, "")
    assert said == f"Made 4 copies; {out / 'manifest.jsonl'} has 6 utterances.\n"
    assert run("check", out / "manifest.jsonl", "--decode")[0] == 0
    status, said, err = run("augment", manifest, "-o", out, "--split", "dev")
    assert (status, said) == (1, "")
    assert err == "error: expected utterances of split dev, found none\n"


def test_augment_takes_noise_from_recordings_alone(run: Run, folder: Path, tmp_path: Path) -> None:
    """Not from hidden files; and without any there is nothing to take."""
    manifest, out, noise = tmp_path / "m.jsonl", tmp_path / "out", tmp_path / "noise"
    noise.mkdir()
    (noise / ".DS_Store").write_bytes(b"no audio")
    assert run("prepare", "folder", folder, "-o", manifest, "--split", "train")[0] == 0
    status, said, err = run("augment", manifest, "-o", out, "--noise", noise)
    assert (status, said, err) == (1, "", f"error: {noise}: expected a folder of recordings, found none\n")
    assert not out.exists()
    soundfile.write(noise / "hum.wav", np.full(4000, 0.01), 16_000)
    status, said, err = run("augment", manifest, "-o", out, "--noise", noise, "--jobs", 1)
    assert (status, err) == (0, "") and said.startswith("Made 2 copies")
