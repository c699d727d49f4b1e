"""A run's checkpoints as a model folder: what is averaged, and that it comes back."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.config import ModelConfig
from asr.errors import CheckpointError
from asr.model_folder import load_model, read_config
from asr.tokenizer import Tokenizer, train_tokenizer
from asr.training.checkpoint import checkpoint_path, save_arrays, weights_of
from asr.training.export import average_checkpoints, export_run
from asr.transducer.model import Transducer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["a b ab ba c"] * 3, 11)


@pytest.fixture
def run(tmp_path: Path, make_model: Callable[..., Transducer], tokenizer: Tokenizer) -> Path:
    """Three checkpoints: weights of the tiny models 0, 1 and 2, averages 1 above them."""
    folder = tmp_path / "run"
    for seed in range(3):
        model = make_model(seed)
        trainable = {v.path for v in model.trainable_variables}
        weights = weights_of(model.variables)
        arrays = {f"weights/{name}": value for name, value in weights.items()}
        arrays |= {f"average/{name}": value + 1.0 for name, value in weights.items() if name in trainable}
        arrays |= {f"first/{name}": value + 9.0 for name, value in weights.items() if name in trainable}
        meta = {"step": 10 * seed, "audio_seconds": 3600.0 * seed, "model": dataclasses.asdict(model.config)}
        save_arrays(checkpoint_path(folder, 10 * seed), arrays, meta)
    (folder / "tokenizer.model").write_bytes(tokenizer.model)
    return folder


def expected(make_model: Callable, seeds: range) -> dict[str, np.ndarray]:
    """The mean over models of what is exported: averages where there are some, normalisation as it is."""
    trainable = {v.path for v in make_model(0).trainable_variables}
    weights = [weights_of(make_model(seed).variables) for seed in seeds]
    return {name: np.mean([w[name] for w in weights], axis=0) + (name in trainable) for name in weights[0]}


@pytest.mark.parametrize("average", [1, 2, 3])
def test_the_newest_averages_come_back_as_a_model(
    run: Path, make_model: Callable, tmp_path: Path, tokenizer: Tokenizer, average: int
) -> None:
    export_run(run, tmp_path / "made", average)
    model, found = load_model(tmp_path / "made")
    assert found.texts == tokenizer.texts and model.config == make_model(0).config
    assert read_config(tmp_path / "made")[1] == {"format": 1, "name": "made", "step": 20, "hours_heard": 2.0}
    wanted = expected(make_model, range(3 - average, 3))
    weights = weights_of(model.variables)
    assert weights.keys() == wanted.keys()
    for name, value in weights.items():
        np.testing.assert_allclose(value, wanted[name], rtol=1e-3, atol=1e-4, err_msg=name)
    assert sorted(p.name for p in (tmp_path / "made").iterdir()) == ["config.json", "tokenizer.model", "weights.npz"]


def test_an_export_replaces_the_one_before(run: Path, make_model: Callable, tmp_path: Path) -> None:
    for average in (3, 1):
        export_run(run, tmp_path / "made", average)
    model, _ = load_model(tmp_path / "made")
    name = "joint/query"
    np.testing.assert_allclose(
        weights_of(model.variables)[name], expected(make_model, range(2, 3))[name], rtol=1e-3, atol=1e-4
    )


def test_too_few_checkpoints_are_an_error(run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="run: expected 4 checkpoints, found 3"):
        export_run(run, tmp_path / "made", 4)
    assert not (tmp_path / "made").exists()


def test_checkpoints_of_two_configurations_are_not_averaged(run: Path, make_model: Callable, tiny: ModelConfig) -> None:
    other = dataclasses.asdict(dataclasses.replace(tiny, kernel=9))
    save_arrays(checkpoint_path(run, 30), {"weights/a": np.ones(1)}, {"model": other, "step": 30, "audio_seconds": 0})
    paths = [checkpoint_path(run, step) for step in (20, 30)]
    with pytest.raises(CheckpointError, match=r"step-0000030\.npz: expected the same model configuration as .*0000020"):
        average_checkpoints(paths)


@pytest.mark.parametrize("what", ["checkpoint", "tokenizer"])
def test_a_damaged_run_leaves_no_model(run: Path, tmp_path: Path, what: str) -> None:
    if what == "tokenizer":
        (run / "tokenizer.model").unlink()
    else:
        checkpoint_path(run, 20).write_bytes(checkpoint_path(run, 20).read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="No such file" if what == "tokenizer" else "damaged"):
        export_run(run, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_an_export_over_a_model_keeps_how_it_is_decoded(run: Path, tmp_path: Path) -> None:
    export_run(run, tmp_path / "made")
    path = tmp_path / "made" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoding": {"beam": 4}, "hours_heard": 0.5}))
    export_run(run, tmp_path / "made")
    kept = {"format": 1, "name": "made", "step": 20, "hours_heard": 2.0, "decoding": {"beam": 4}}
    assert read_config(tmp_path / "made")[1] == kept
