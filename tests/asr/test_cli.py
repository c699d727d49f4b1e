"""The `asr` command from its arguments to its exit code: 0 done, 1 a file failed, 2 it could not be done."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from typer import BadParameter

from asr.audio.files import read_blocks
from asr.cli import main, parse_chunk
from asr.engine_kind import EngineKind
from asr.formats import format_transcript
from asr.model_folder import read_config
from asr.streaming.recognizer import OFFLINE_MS, Recognizer
from asr.training.checkpoint import load_arrays, save_arrays

RATE = 16_000
ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(
    model_folder: Path,
    recogniser: Callable[..., Recognizer],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command: exit code, standard output, standard error. The random model is compiled once for all tests.

    By XLA, since words of random weights are others with weights in eight bits.
    """

    def made(
        model: Path | None,
        chunk_ms: int = 640,
        streams: int = 1,
        beam: int | None = None,
        engine: str = "xla",
        **rest: float | None,
    ) -> Recognizer:
        if model != model_folder or engine != "xla":
            return Recognizer(model, chunk_ms, streams, beam=beam, engine=engine, **rest)
        assert beam in (None, 1)  # the random model names none
        return recogniser(chunk_ms, 3)

    for module in ("transcribe", "scoring"):
        monkeypatch.setattr(f"asr.{module}.Recognizer", made)
    monkeypatch.setattr("asr.transcribe.chosen", lambda kind, config: EngineKind.xla)

    def call(*arguments: object, model: Path | None = model_folder) -> tuple[int, str, str]:
        options = ["--model", str(model)] if model else []
        with pytest.raises(SystemExit) as stopped:
            main([*(str(argument) for argument in arguments), *options])
            raise SystemExit(0)
        said = capsys.readouterr()
        return int(stopped.value.code or 0), said.out, " ".join(said.err.split())  # a terminal breaks its lines

    return call


@pytest.fixture
def sounds(tmp_path: Path, make_audio: Callable) -> list[Path]:
    for name, seconds, seed in (("a.wav", 3.0, 1), ("b.flac", 2.2, 2)):
        soundfile.write(tmp_path / name, make_audio(seconds, seed), RATE)
    return [tmp_path / "a.wav", tmp_path / "b.flac"]


@pytest.fixture
def manifest(sounds: list[Path], recogniser: Callable[..., Recognizer]) -> Path:
    """Two utterances of two speakers: what the model hears, and that with a word changed, one too many, one missing."""
    texts = [recogniser(640, 3).transcribe(read_blocks(path)).text.split() for path in sounds]
    wrong = ["zebra", *texts[1][1:-1]]
    lines = [
        {"id": "a", "audio": "a.wav", "seconds": 3.0, "speaker": "ann", "text": " ".join(texts[0]), "split": "dev"},
        {"id": "b", "audio": "b.flac", "seconds": 2.2, "speaker": "bob", "text": " ".join(wrong), "split": "dev"},
        {"id": "c", "audio": "a.wav", "seconds": 3.0, "speaker": "ann", "text": None, "split": "unheard"},
    ]
    path = sounds[0].with_name("manifest.jsonl")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


# transcribe


@pytest.mark.parametrize(("kind", "ending"), [("text", "txt"), ("json", "json"), ("srt", "srt"), ("vtt", "vtt")])
def test_transcribe_writes_the_format_asked_for(
    run: Callable, sounds: list[Path], recogniser: Callable, tmp_path: Path, kind: str, ending: str
) -> None:
    expected = [format_transcript(recogniser(640, 3).transcribe(read_blocks(path)), kind, "random") for path in sounds]
    options = ("--format", kind, "--chunk-ms", 640)
    assert run("transcribe", sounds[0], *options) == (0, expected[0], "")
    assert run("transcribe", *sounds, *options, "--output", tmp_path / "out") == (0, "", "")
    assert [(tmp_path / "out" / f"{path.name}.{ending}").read_text() for path in sounds] == expected


def test_transcribe_says_1_if_a_file_failed_and_does_it_again(
    run: Callable, sounds: list[Path], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.wav"
    bad.write_text("no audio " * 100)
    command = ("transcribe", sounds[0], bad, "--chunk-ms", 640, "--output", tmp_path / "out")
    status, out, err = run(*command)
    assert (status, out) == (1, "")
    assert "bad.wav: expected an audio file" in err and "Traceback" not in err
    assert [p.name for p in (tmp_path / "out").glob("[a-z]*")] == ["a.wav.txt"]
    status, _, err = run(*command)
    assert status == 1 and "1 of 2 files are done already" in err and "bad.wav: expected" in err
    soundfile.write(bad, np.zeros(RATE), RATE)
    assert run(*command)[0] == 0
    assert sorted(p.name for p in (tmp_path / "out").glob("[a-z]*")) == ["a.wav.txt", "bad.wav.txt"]


def damaged(folder: Path, model_folder: Path, what: str) -> Path:
    """A copy of the model in which one thing is wrong."""
    folder.mkdir()
    for path in model_folder.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    if what == "no weights":
        (folder / "weights.npz").unlink()
    elif what == "cut weights":
        (folder / "weights.npz").write_bytes((folder / "weights.npz").read_bytes()[:5000])
    elif what == "other weights":
        values = json.loads((folder / "config.json").read_text())
        values["model"]["joint_dim"] = 32
        (folder / "config.json").write_text(json.dumps(values))
    elif what == "other tokenizer":
        values = json.loads((folder / "config.json").read_text())
        values["model"]["vocabulary"] = 40
        (folder / "config.json").write_text(json.dumps(values))
    elif what == "unknown key":
        values = json.loads((folder / "config.json").read_text())
        values["model"]["dims"] = 3
        (folder / "config.json").write_text(json.dumps(values))
    return folder


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no weights", "weights.npz: No such file or directory"),
        ("cut weights", "weights.npz: expected a checkpoint, got a damaged or other file"),
        ("other weights", "expected shape"),
        ("other tokenizer", "expected a tokenizer of 40 wordpieces, got 32"),
        ("unknown key", "config.json: unknown key dims"),
    ],
)
def test_a_model_that_cannot_be_read_is_named(
    run: Callable, sounds: list[Path], model_folder: Path, tmp_path: Path, what: str, message: str
) -> None:
    model = damaged(tmp_path / "model", model_folder, what)
    command = ("transcribe", sounds[0], "--output", tmp_path / "out")
    status, out, err = run(*command, model=model)
    assert (status, out) == (2, "") and err.startswith("error: ") and message in err
    assert (tmp_path / "out").is_dir() == (what != "unknown key")  # the configuration is read before anything is made
    assert list((tmp_path / "out").glob("*")) == []


def test_transcribe_without_a_model(run: Callable, sounds: list[Path], tmp_path: Path) -> None:
    status, out, err = run("transcribe", sounds[0], model=tmp_path / "none")
    assert (status, out) == (2, "")
    assert "none/config.json: No such file or directory; expected a model folder" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["transcribe"], "Missing argument"),
        (["transcribe", "a.wav", "--format", "doc"], "'doc' is not one of"),
        (["transcribe", "a.wav", "--chunk-ms", "100"], "chunk_ms: expected 160, 320 or a multiple of 640"),
        (["transcribe", "a.wav", "--chunk-ms", "soon"], "a number of milliseconds or \"offline\", got 'soon'"),
        (["transcribe", "a.wav", "--batch", "0"], "--batch"),
        (["transcribe", "a.wav", "--beam", "99"], "--beam"),
        (["evaluate", "none.jsonl"], "none.jsonl: cannot read the manifest"),
    ],
)
def test_wrong_arguments_are_named(run: Callable, arguments: list[str], message: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "") and "Traceback" not in err
    assert message.replace(" ", "") in err.replace("│", "").replace(" ", "")


def test_chunks_are_numbers_or_offline() -> None:
    assert [parse_chunk(value) for value in ("160", "1280", "offline")] == [160, 1280, OFFLINE_MS]
    with pytest.raises(BadParameter, match="got 'online'"):
        parse_chunk("online")


def test_transcribe_as_a_program(sounds: list[Path], model_folder: Path, tmp_path: Path) -> None:
    """Nothing but JSON on standard output, nothing but what failed on standard error."""
    (tmp_path / "empty.wav").touch()
    files = [str(sounds[0]), str(tmp_path / "empty.wav")]
    command = [sys.executable, "-m", "asr.cli", "transcribe", *files, "--format", "json", "--chunk-ms", "640"]
    result = subprocess.run(
        [*command, "--model", str(model_folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1, result.stderr
    assert json.loads(result.stdout)["duration_ms"] == 3000
    assert "empty.wav: expected an audio file, got an empty file" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


# evaluate


def test_evaluate_counts_errors_by_split_and_speaker(run: Callable, manifest: Path, tmp_path: Path) -> None:
    texts = tmp_path / "texts.jsonl"
    status, out, _ = run("evaluate", manifest, "--split", "dev", "--format", "json", "--texts", texts)
    assert status == 0
    (result,) = json.loads(out).values()
    speakers = result["speakers"]
    assert speakers["ann"]["wer"] == 0.0 and speakers["ann"]["words"] > 0
    bob = speakers["bob"]
    assert (bob["substitutions"], bob["deletions"], bob["insertions"]) == (1, 0, 1)
    assert bob["wer"] == round(2 / bob["words"], 4)
    assert result["words"] == sum(s["words"] for s in speakers.values())
    assert result["wer"] == round(2 / result["words"], 4)
    assert (result["utterances"], result["audio_seconds"]) == (2, 5.2)
    assert result["rtf"] > 0
    rows = [json.loads(line) for line in texts.read_text().splitlines()]
    assert [(row["split"], row["id"]) for row in rows] == [("dev", "a"), ("dev", "b")]
    assert rows[0]["reference"] == rows[0]["hypothesis"] and rows[1]["reference"].startswith("zebra")


def test_evaluate_says_a_line_for_each_split(run: Callable, manifest: Path) -> None:
    status, out, _ = run("evaluate", manifest)
    assert status == 0
    assert out.startswith("dev: WER ") and out.count("\n") == 1
    assert "(1 substituted, 0 deleted, 1 inserted), 2 utterances of 2 speakers, RTF " in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text + "{broken\n", "manifest.jsonl:4: expected a JSON object"),
        (lambda text: text.replace("b.flac", "gone.flac"), "manifest.jsonl:2: audio: no such file: "),
        (lambda text: text.replace("b.flac", "manifest.jsonl"), "manifest.jsonl: expected audio: "),
        (lambda text: "", "expected utterances with reference texts, found none"),
        (lambda text: text.replace('"dev"', '"train"'), "no utterance of split 'dev' has a reference text"),
    ],
)
def test_evaluate_names_what_is_wrong(run: Callable, manifest: Path, change: Callable, message: str) -> None:
    manifest.write_text(change(manifest.read_text()))
    splits = [] if not manifest.read_text() else ["--split", "dev"]
    status, out, err = run("evaluate", manifest, *splits, "--format", "json")
    assert (status, out) == (2, "") and err.startswith("error: ")
    assert message.replace(" ", "") in err.replace(" ", "")


def test_evaluate_needs_references(run: Callable, manifest: Path) -> None:
    status, _, err = run("evaluate", manifest, "--split", "unheard")
    assert status == 2 and "no utterance of split 'unheard' has a reference text" in err


def test_evaluate_writes_a_report(run: Callable, manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "report"
    options = ["--split", "dev", "--chunk-ms", "640", "--beam", "1"]
    status, out, _ = run("evaluate", manifest, *options, "--report", output)
    assert status == 0 and (output / "report.md").read_text() in out
    assert "## Word error rate" in out and "8 kHz µ-law" in out
    status, out, _ = run("evaluate", manifest, *options, "--report", output, "--format", "json")
    assert status == 0 and json.loads(out) == json.loads((output / "report.json").read_text())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--chunk-ms", "320", "--chunk-ms", "640"], "need --report"),
        (["--every", "2"], "need --report"),
        (["--report", "r", "--texts", "t"], "do not go with --report"),
    ],
)
def test_options_of_a_report_go_with_it(run: Callable, manifest: Path, options: list[str], message: str) -> None:
    status, _, err = run("evaluate", manifest, *options)
    assert status == 2 and message.replace(" ", "") in err.replace("│", "").replace(" ", "").replace("\n", "")


# train, export


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "config.toml: No such file or directory"),
        ("[schedule]\nstep = 3\n", "config.toml: unknown key schedule.step; known here: "),
        ("[schedule\n", "config.toml: expected TOML: "),
        ("[data]\nmanifest = 'none.jsonl'\n", "none.jsonl: cannot read the manifest"),
    ],
)
def test_train_names_what_is_wrong(run: Callable, tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "config.toml"
    if content is not None:
        path.write_text(content)
    status, out, err = run("train", path, "--run", tmp_path / "run", model=None)
    assert (status, out) == (2, "") and err.startswith("error: ") and message in err
    assert not list(tmp_path.glob("run/step-*"))


def test_export_makes_a_model_that_transcribes(
    run: Callable, model_folder: Path, sounds: list[Path], recogniser: Callable, tmp_path: Path
) -> None:
    """The bundled layout from a run's checkpoint: the same weights give the same words."""
    config, _ = read_config(model_folder)
    weights, _ = load_arrays(model_folder / "weights.npz")
    values = json.loads((model_folder / "config.json").read_text())["model"]
    folder = tmp_path / "run"
    meta = {"step": 7, "audio_seconds": 7200.0, "model": values, "tokenizer": []}
    save_arrays(folder / "step-0000007.npz", {f"weights/{name}": value for name, value in weights.items()}, meta)
    (folder / "tokenizer.model").write_bytes((model_folder / "tokenizer.model").read_bytes())
    assert run("export", folder, tmp_path / "made", model=None) == (0, "", "")
    assert read_config(tmp_path / "made") == (config, {"format": 1, "name": "made", "step": 7, "hours_heard": 2.0})
    stored, _ = load_arrays(tmp_path / "made" / "weights.npz")
    assert stored.keys() == weights.keys() and all(value.dtype == np.float16 for value in stored.values())
    for name, value in stored.items():
        np.testing.assert_array_equal(value, weights[name])


def test_export_of_no_run_is_an_error(run: Callable, tmp_path: Path) -> None:
    status, _, err = run("export", tmp_path, tmp_path / "made", model=None)
    assert status == 2 and "expected 1 checkpoints, found 0" in err
    assert not (tmp_path / "made").exists()


def test_help_names_every_command(run: Callable) -> None:
    status, out, _ = run("--help", model=None)
    assert status == 0
    assert all(name in out for name in ("transcribe", "evaluate", "train", "export", "curves"))


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ModuleNotFoundError("no", name="tensorflow"), 2, "tensorflow is not installed; recognition needs: pip "),
        (PermissionError(13, "Permission denied", "/x/y"), 2, "/x/y: Permission denied"),
        (OSError("the disk is gone"), 2, "the disk is gone"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_other_ends(
    run: Callable, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, message: str
) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "asr.training.export", SimpleNamespace(export_run=fails))
    found, _, err = run("export", "a", "b", model=None)
    assert found == status and message in err


def test_a_fault_of_ours_is_no_users_error(run: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ModuleNotFoundError("no", name="asr.nothing")

    monkeypatch.setitem(sys.modules, "asr.training.export", SimpleNamespace(export_run=fails))
    with pytest.raises(ModuleNotFoundError):
        run("export", "a", "b", model=None)
