"""A whole run on a toy language: what it learns and writes, and that it resumes exactly where it stopped."""

import csv
import dataclasses
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.cli import main
from asr.errors import CheckpointError, ConfigError
from asr.model_folder import load_model, read_config
from asr.training.checkpoint import checkpoint_path, checkpoint_steps, load_arrays, part, save_arrays, weights_of
from asr.training.config import TrainConfig
from asr.training.corpus import FEATURE_SETTINGS
from asr.training.export import export_run
from asr.training.trainer import Trainer
from data.cache import open_cache, write_cache
from data.manifest import read_manifest

STEPS = 300  # of the toy configuration, with checkpoints every 130 and evaluations every 100


def command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return int(stopped.value.code or 0)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(toy: Path, write_config: Callable[..., Path]) -> Path:
    """Folder of a run from its first step to its last. To be read only."""
    assert command("train", write_config(toy / "toy.toml"), "--run", toy / "run") == 0
    return toy / "run"


@pytest.fixture(scope="module")
def exported(finished: Path, toy: Path) -> Path:
    assert command("export", finished, toy / "toy-model") == 0
    return toy / "toy-model"


def stopped_at(finished: Path, folder: Path, step: int) -> Path:
    """A copy of the run as it was some steps after a checkpoint, when it was killed while writing another."""
    shutil.copytree(finished, folder)
    for later in checkpoint_steps(folder):
        if later > step:
            checkpoint_path(folder, later).unlink()
    (folder / f".step-{step + 130:07d}.npz.123.tmp").write_bytes(b"half a checkpoint")
    return folder


def test_the_toy_language_is_learnt(finished: Path) -> None:
    """All three heads, from one run: words of speech that was not trained on."""
    evaluations = rows(finished / "dev.csv")
    assert [row["step"] for row in evaluations] == ["100", "200", "300"]
    last = evaluations[-1]
    assert last["split"] == "dev"
    assert all(float(last[head]) <= 0.2 for head in ("characters", "pieces", "transducer"))


def test_a_run_leaves_its_record_and_newest_checkpoints(finished: Path, make_config: Callable) -> None:
    progress = rows(finished / "train.csv")
    assert [int(row["step"]) for row in progress] == list(range(20, STEPS + 1, 20))
    assert all(float(progress[-1][name]) < 0.3 * float(progress[0][name]) for name in ("characters", "transducer"))
    assert float(progress[-1]["text"]) < 0.7 * float(progress[0]["text"])
    assert checkpoint_steps(finished) == [130, 260, 300]
    assert list((finished / "tensorboard").iterdir())
    assert not list(finished.glob(".*"))  # nothing unfinished
    stored = json.loads((finished / "config.json").read_text())
    assert stored == json.loads(json.dumps(dataclasses.asdict(make_config())))


def test_a_finished_run_is_not_trained_again(finished: Path, toy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.glob("step-*")}
    assert command("train", toy / "toy.toml", "--run", finished) == 0
    assert {path: path.stat().st_mtime_ns for path in finished.glob("step-*")} == before


def test_an_evaluation_that_a_kill_prevented_is_made(
    finished: Path, toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """After the last checkpoint, too, where nothing is left to train."""
    shutil.copytree(finished, tmp_path / "run")
    whole = (tmp_path / "run" / "dev.csv").read_text()
    (tmp_path / "run" / "dev.csv").write_text("".join(whole.splitlines(keepends=True)[:-1]))
    Trainer(make_config(), toy, tmp_path / "run").train()
    assert rows(tmp_path / "run" / "dev.csv")[-1]["step"] == str(STEPS)
    assert (tmp_path / "run" / "dev.csv").read_text() == whole


def test_a_killed_and_resumed_run_is_the_undisturbed_one(
    finished: Path, toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Bit for bit, weights and optimiser, though it is stopped twice more on its way."""
    run = stopped_at(finished, tmp_path / "run", 260)
    trainer = Trainer(make_config(), toy, run)
    assert trainer.step == 260
    assert [row["step"] for row in rows(run / "train.csv")][-1] == "260"
    trainer.stop_requested = True
    trainer.train()
    assert checkpoint_steps(run)[-1] == 261
    trainer.stop_requested = False
    trainer.train(until=time.time() - 1.0)
    assert checkpoint_steps(run)[-1] == 262
    trainer.train()
    (found, meta), (expected, wanted) = (load_arrays(checkpoint_path(folder, STEPS)) for folder in (run, finished))
    assert meta == wanted
    assert found.keys() == expected.keys()
    assert {name.split("/")[0] for name in found} == {"weights", "first", "second", "average"}
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert rows(run / "dev.csv") == rows(finished / "dev.csv")
    assert not list(run.glob(".*"))


def test_the_exported_model_is_as_good(exported: Path, toy: Path, capsys: pytest.CaptureFixture) -> None:
    """Streams of the exported weights, in half precision, hear what the run heard."""
    options = ("--split", "dev", "--format", "json", "--batch", 4, "--model", exported)
    assert command("evaluate", toy / "manifest.jsonl", *options) == 0
    result = json.loads(capsys.readouterr().out)["dev"]
    assert result["wer"] <= 0.2 and result["utterances"] == 16 and set(result["speakers"]) == {"bob"}


def test_a_run_may_start_from_another(
    finished: Path, exported: Path, toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """From its averaged weights, without its optimiser's state and at its own first step."""
    arrays, _ = load_arrays(checkpoint_path(finished, STEPS))
    expected = part(arrays, "weights") | part(arrays, "average")
    for name, start, tolerance in (("a", checkpoint_path(finished, STEPS), 0.0), ("b", exported, 2e-3)):
        shutil.copytree(finished / "cache", tmp_path / name / "cache")
        config = dataclasses.replace(make_config(), start_from=str(start))
        trainer = Trainer(config, toy, tmp_path / name)
        assert trainer.step == 0
        for path, value in weights_of(trainer.model.variables).items():
            np.testing.assert_allclose(value, expected[path], rtol=tolerance, atol=tolerance, err_msg=path)
        for values in (trainer.stepper.slots["first"], trainer.stepper.slots["second"]):
            assert not any(np.any(np.asarray(value)) for value in values)


def test_a_new_joint_is_trained_on_a_frozen_encoder(
    finished: Path, toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """What is not trained stays as it started, bit for bit; what is not taken from there starts anew."""
    start = checkpoint_path(finished, STEPS)
    shutil.copytree(finished / "cache", tmp_path / "cache")
    changed = make_config(
        schedule={"steps": 60, "evaluate_steps": 60, "peak_rate": 1e-2},
        loss={"characters": 0.0, "pieces": 0.0, "text": 0.0, "text_first_steps": 0, "prior_steps": 0, "guide_steps": 0},
    )
    parts = {"start_parts": ("encoder", "predictor"), "trained": ("joint",)}
    trainer = Trainer(dataclasses.replace(changed, start_from=str(start), **parts), toy, tmp_path)
    before = weights_of(trainer.model.variables)
    arrays, _ = load_arrays(start)
    taken = part(arrays, "weights") | part(arrays, "average")
    for name, value in before.items():
        started = name.split("/")[0] in ("encoder", "predictor")
        assert np.array_equal(value, taken[name]) == started or not (started or value.any()), name  # biases are zero
    trainer.train()
    moved = {
        n.split("/")[0] for n, v in weights_of(trainer.model.variables).items() if not np.array_equal(v, before[n])
    }
    assert moved == {"joint"}
    assert not rows(tmp_path / "train.csv")[0]["characters"]
    assert float(rows(tmp_path / "dev.csv")[-1]["transducer"]) <= 0.4


def test_a_run_may_start_without_some_layers(
    finished: Path, toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Here with areas in every layer of the encoder, whose attention starts anew."""
    start = checkpoint_path(finished, STEPS)
    shutil.copytree(finished / "cache", tmp_path / "cache")
    config = make_config(model={"encoder_attention": "area"})
    config = dataclasses.replace(config, start_from=str(start), start_without=("attention",))
    taken = part(load_arrays(start)[0], "average")
    found = weights_of(Trainer(config, toy, tmp_path).model.trainable_variables)
    anew = {name for name, value in found.items() if not np.array_equal(value, taken[name])}
    assert anew == {f"encoder/{n}0/attention/{w}" for n in ("lower", "upper") for w in ("qkv", "output")}
    with pytest.raises(ConfigError, match="start_without: expected layers of what the run starts from, got 'qkv'"):
        Trainer(dataclasses.replace(config, start_without=("attention", "qkv")), toy, tmp_path)


def test_two_copies_are_trained_side_by_side(
    toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path, finished: Path
) -> None:
    """And held together."""
    shutil.copytree(finished / "cache", tmp_path / "cache")
    changed = make_config(
        loss={"consistency": 0.1, "text_first_steps": 0},
        schedule={"steps": 4, "evaluate_steps": 4, "log_steps": 2, "parts": 2},
    )
    start = dataclasses.replace(changed, start_from=str(checkpoint_path(finished, STEPS)))
    Trainer(start, toy, tmp_path).train()
    trained = rows(tmp_path / "train.csv")
    assert [float(row["consistency"]) > 0 for row in trained] == [True, True]
    assert float(rows(tmp_path / "dev.csv")[0]["transducer"]) < 0.4


def test_a_phoneme_head_is_trained_resumed_rated_and_exported(
    toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path, finished: Path
) -> None:
    """On a model that has learnt the rest, whose tones are its phonemes."""
    shutil.copytree(finished / "cache", tmp_path / "cache")
    words = ("ab", "ba", "cad", "dab", "cd", "bad")
    letters = {word: [[f"{letter}~" for letter in word], ["a~"]] for word in words}
    (tmp_path / "said.json").write_text(json.dumps(letters))
    changed = make_config(
        model={"phonemes": 4},
        data={"pronunciations": str(tmp_path / "said.json")},
        loss={"phonemes": 0.3, "crf": 1.0, "text_first_steps": 0},
        schedule={"steps": 60, "evaluate_steps": 60, "checkpoint_steps": 30, "log_steps": 20, "parts": 2},
    )
    changed = dataclasses.replace(changed, start_from=str(checkpoint_path(finished, STEPS)))
    Trainer(changed, toy, tmp_path).train()
    trained, (rated,) = rows(tmp_path / "train.csv"), rows(tmp_path / "dev.csv")
    assert all(float(row["crf"]) > 0.0 for row in trained)
    for name in ("phonemes", "crf"):
        assert float(trained[-1][name]) < 0.5 * float(trained[0][name])
    assert float(rated["phonemes"]) < 0.3 and float(rated["transducer"]) < 0.4

    whole, _ = load_arrays(checkpoint_path(tmp_path, 60))
    checkpoint_path(tmp_path, 60).unlink()
    resumed = Trainer(changed, toy, tmp_path)
    assert resumed.step == 30
    resumed.train()
    found, meta = load_arrays(checkpoint_path(tmp_path, 60))
    assert meta["phonemes"] == ["a~", "b~", "c~", "d~"]
    for name, value in found.items():
        np.testing.assert_array_equal(value, whole[name], err_msg=name)

    export_run(tmp_path, tmp_path / "model")
    model, _ = load_model(tmp_path / "model")
    assert model.config.phonemes == 4 and model.phonemes.kernel.shape[1] == 5
    assert read_config(tmp_path / "model")[1]["phonemes"] == meta["phonemes"]

    others = {word: [phoneme.upper() for phoneme in said[0]] for word, said in letters.items()}
    (tmp_path / "said.json").write_text(json.dumps(others))
    with pytest.raises(CheckpointError, match="expected the phonemes of this run's pronunciations, got others"):
        Trainer(changed, toy, tmp_path)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"loss": {"crf": 1.0}}, "crf: expected 0, for it trains the phoneme head of a transducer .*, got 1.0"),
        (
            {"loss": {"phonemes": 0.3}, "model": {"phonemes": 4, "kind": "encoder_decoder"}},
            "phonemes: expected 0, for it trains the phoneme head of a transducer",
        ),
        (
            {"loss": {"crf": 1.0}, "model": {"phonemes": 4}},
            "pronunciations: expected a file of phonemes for the loss crf, got none",
        ),
        (
            {"data": {"pronunciations": "said.json"}, "model": {"phonemes": 4}},
            "pronunciations: expected a weight of the loss phonemes or crf, which they are for, got none",
        ),
        ({"model": {"phonemes": -1}}, "phonemes: expected 0 or more, got -1"),
    ],
)
def test_phonemes_need_a_head_pronunciations_and_a_weight(
    make_config: Callable[..., TrainConfig], tables: dict[str, dict], message: str
) -> None:
    tables["loss"] = {"text": 0.0, "text_first_steps": 0} | tables.get("loss", {})
    with pytest.raises(ConfigError, match=message):
        make_config(**tables)


def test_a_teacher_is_learnt_from_and_not_exported(
    toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path, finished: Path
) -> None:
    """Of a teacher whose frames are what the recordings sound like, the loss falls; half of them it did not hear."""
    shutil.copytree(finished / "cache", tmp_path / "cache")
    features = open_cache(tmp_path / "cache", FEATURE_SETTINGS)
    assert features is not None
    heard = [u for u in read_manifest(toy / "manifest.jsonl", splits=["train"])][::2]
    frames = [((features[u.id][::4, ::8] + 6) / 4).astype(np.float16) for u in heard]
    write_cache(heard, frames, tmp_path / "said", "log-mel", bins=10)
    changed = make_config(
        data={"teacher": str(tmp_path / "said")},
        loss={"teacher": 5.0, "text_first_steps": 0},
        schedule={"steps": 60, "evaluate_steps": 60, "log_steps": 20, "parts": 2},
    )
    Trainer(dataclasses.replace(changed, start_from=str(checkpoint_path(finished, STEPS))), toy, tmp_path).train()
    errors = [float(row["teacher"]) for row in rows(tmp_path / "train.csv")]
    assert errors[-1] < 0.6 * errors[0]
    assert float(rows(tmp_path / "dev.csv")[0]["transducer"]) < 0.4
    assert load_arrays(checkpoint_path(tmp_path, 60))[0]["weights/teacher/kernel"].shape[1] == 20
    export_run(tmp_path, tmp_path / "model")
    assert not any("teacher" in v.path for v in load_model(tmp_path / "model")[0].variables)
    unheard = read_manifest(toy / "manifest.jsonl", splits=["dev"])[:1]
    write_cache(unheard, frames[:1], tmp_path / "said", "log-mel", bins=10)
    with pytest.raises(ConfigError, match="teacher: expected frames of some of 120 training recordings in"):
        Trainer(changed, toy, tmp_path / "other")


@pytest.mark.parametrize(("data", "loss"), [({"teacher": "folder"}, {}), ({}, {"teacher": 1.0})])
def test_a_teacher_has_a_folder_and_a_weight(make_config: Callable[..., TrainConfig], data: dict, loss: dict) -> None:
    with pytest.raises(
        ConfigError, match=r"teacher: expected a folder \(data\) and a weight \(loss\), got one of them"
    ):
        make_config(data=data, loss=loss)


def test_consistency_needs_the_wordpieces_of_a_transducer(make_config: Callable[..., TrainConfig]) -> None:
    expected = "consistency: expected 0, for it needs a transducer's wordpiece head, got 0.1"
    with pytest.raises(ConfigError, match=expected):
        make_config(loss={"consistency": 0.1, "pieces": 0.0})


def test_only_parts_that_the_model_has_can_be_trained(
    toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path, finished: Path
) -> None:
    shutil.copytree(finished / "cache", tmp_path / "cache")
    with pytest.raises(ConfigError, match=r"trained: expected parts of the model .*joint.*, got 'decoder'"):
        Trainer(dataclasses.replace(make_config(), trained=("decoder",)), toy, tmp_path)


def test_the_offline_encoder_decoder_is_trained_by_the_same_command(
    finished: Path, toy: Path, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    """It learns on the transducer's encoder; its export cannot be mistaken for a model that streams."""
    shutil.copytree(finished / "cache", tmp_path / "run" / "cache")
    config = write_config(tmp_path / "toy.toml", loss={"text": 0.0, "text_first_steps": 0})
    settings = {
        "start_from": f'"{checkpoint_path(finished, STEPS)}"',
        "start_parts": '["encoder"]',
        "model.kind": "encoder_decoder",
        "data.manifest": str(toy / "manifest.jsonl"),
        "schedule.chunks": "[0]",
        "schedule.chunk_weights": "[1.0]",
        "schedule.peak_rate": "1e-2",
        "schedule.steps": "200",
        "data.texts": "[]",
    }
    options = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
    assert command("train", config, "--run", tmp_path / "run", *options) == 0
    last = rows(tmp_path / "run" / "dev.csv")[-1]
    assert set(last) == {"step", "hours", "split", "decoder"}
    assert float(last["decoder"]) <= 0.3
    assert command("export", tmp_path / "run", tmp_path / "model") == 0
    with pytest.raises(CheckpointError, match="expected a transducer, got a model of kind 'encoder_decoder'"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("cut", "damaged or other file"),
        ("model", "expected shape"),
        ("tokenizer", "expected the wordpieces of this run's tokenizer, got others"),
        ("slots", "expected second/.*, found none: it is no checkpoint of a run"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_an_error(
    finished: Path, toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path, what: str, message: str
) -> None:
    run, config = stopped_at(finished, tmp_path / "run", 130), make_config()
    path = checkpoint_path(run, 130)
    if what == "cut":
        path.write_bytes(path.read_bytes()[:10_000])
    elif what == "model":
        config = make_config(model={"joint_dim": 64})
    else:
        arrays, meta = load_arrays(path)
        if what == "tokenizer":
            meta["tokenizer"][5] = "zebra"
        else:
            arrays = {name: value for name, value in arrays.items() if not name.startswith("second/")}
        save_arrays(path, arrays, meta)
    with pytest.raises(CheckpointError, match=rf"step-0000130\.npz: .*{message}"):
        Trainer(config, toy, run)
