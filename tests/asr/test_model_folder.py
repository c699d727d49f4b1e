"""A model as it is shipped: what is written comes back, whole or not at all."""

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from asr import model_folder as module
from asr.config import ModelConfig
from asr.decoding.beam import BeamSearch
from asr.decoding.greedy import GreedySearch
from asr.decoding.words import WordRule
from asr.engine_kind import PHONETIC
from asr.errors import CheckpointError
from asr.model_folder import default_beam, load_model, read_config, save_model, save_word_rule
from asr.streaming.recognizer import Recognizer
from asr.tokenizer import Tokenizer, train_tokenizer
from asr.training.checkpoint import weights_of
from asr.transducer.model import Transducer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["a b ab ba c"] * 3, 11)


@pytest.fixture
def saved(tmp_path: Path, make_model: Callable[..., Transducer], tiny: ModelConfig, tokenizer: Tokenizer) -> Path:
    save_model(tmp_path / "a" / "model", tiny, tokenizer, weights_of(make_model(0).variables), {"name": "x", "step": 3})
    return tmp_path / "a" / "model"


def test_a_model_comes_back_in_half_precision(
    saved: Path, make_model: Callable, tiny: ModelConfig, tokenizer: Tokenizer
) -> None:
    model, found = load_model(saved)
    assert model.config == tiny and found.model == tokenizer.model
    assert read_config(saved) == (tiny, {"format": 1, "name": "x", "step": 3})
    expected = weights_of(make_model(0).variables)
    for name, value in weights_of(model.variables).items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, expected[name].astype(np.float16).astype(np.float32), err_msg=name)
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "tokenizer.model", "weights.npz"]
    count = sum(value.size for value in expected.values())
    assert (saved / "weights.npz").stat().st_size < 2 * count + 500 * len(expected)  # bytes: two a weight, and names


def test_a_folder_names_its_beam(saved: Path, tiny: ModelConfig, make_model: Callable, tokenizer: Tokenizer) -> None:
    assert default_beam(saved) == 1
    about = {"name": "x", "decoding": {"beam": 4, "ctc_weight": 0.3}}
    save_model(saved, tiny, tokenizer, weights_of(make_model(0).variables), about)
    save_word_rule(saved, WordRule())
    assert default_beam(saved) == 4
    search = Recognizer(saved).engine.search
    assert isinstance(search, BeamSearch) and search.config.ctc_weight == 0.3
    assert isinstance(Recognizer(saved, beam=1).engine.search, GreedySearch)


def test_the_bundled_model_is_searched_by_its_phonemes() -> None:
    assert default_beam(module.bundled_model()) == PHONETIC


@pytest.mark.parametrize(
    ("decoding", "message"),
    [
        ({"beam": -1}, "decoding: beam: expected 0 to 32, got -1"),
        ({"beam": "wide"}, "decoding: beam: expected"),
        ({"ctc_weight": -0.1}, "decoding: ctc_weight: expected a number of 0 or more, got -0.1"),
        ({"lm_weight": -1.0}, "decoding: lm_weight: expected a number of 0 or more, got -1.0"),
        ({"label_bonus": float("inf")}, "decoding: label_bonus: expected a finite number, got inf"),
        ({"bean": 8}, "decoding: unknown key bean"),
    ],
)
def test_a_beam_that_cannot_be_is_told(
    tiny: ModelConfig,
    make_model: Callable,
    tokenizer: Tokenizer,
    tmp_path: Path,
    decoding: dict[str, object],
    message: str,
) -> None:
    save_model(tmp_path, tiny, tokenizer, weights_of(make_model(0).variables), {"decoding": decoding})
    with pytest.raises(CheckpointError, match=message):
        default_beam(tmp_path)


def test_a_model_computes_in_single_precision_whatever_trained_before(saved: Path, mel: Callable) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    model, _ = load_model(saved)
    assert keras.config.dtype_policy().name == "mixed_bfloat16"
    state = model.encoder.initial_state(1)
    _, encoded, _ = model.encoder.step(keras.ops.convert_to_tensor(mel(1, 64)), state)
    assert encoded.dtype == "float32"


def change(folder: Path, **values: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("missing", ["config.json", "tokenizer.model", "weights.npz"])
def test_a_missing_file_is_named(saved: Path, missing: str) -> None:
    (saved / missing).unlink()
    with pytest.raises(CheckpointError, match=rf"{re.escape(missing)}: No such file or directory"):
        load_model(saved)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "expected JSON: "),
        (b"\xff", "expected JSON: "),
        (b"[]", r"expected model format 1, got \[\]"),
        (b"{}", "expected model format 1, got None"),
        (b'{"format": 2}', "expected model format 1, got 2"),
        (b'{"format": 1, "model": {"dims": 3}}', "unknown key dims; known here: "),
        (b'{"format": 1, "model": {"dim": -3}}', "dim: expected a number above 0, got -3"),
        (b'{"format": 1, "model": null}', "config: expected a table, got None"),
    ],
)
def test_a_broken_configuration_is_named(saved: Path, content: bytes, message: str) -> None:
    (saved / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"config\.json: {message}"):
        load_model(saved)


def test_parts_of_other_models_do_not_fit(saved: Path, tiny: ModelConfig) -> None:
    change(saved, model=dataclasses.asdict(dataclasses.replace(tiny, vocabulary=12)))
    with pytest.raises(CheckpointError, match="expected a tokenizer of 12 wordpieces, got 11"):
        load_model(saved)
    change(saved, model=dataclasses.asdict(dataclasses.replace(tiny, upper_layers=3)))
    with pytest.raises(CheckpointError, match=r"weights\.npz: no weights for encoder/upper2/"):
        load_model(saved)
    change(saved, model=dataclasses.asdict(dataclasses.replace(tiny, kernel=5)))
    with pytest.raises(CheckpointError, match=r"taps: expected shape \[5, 32\], got \[7, 32\]"):
        load_model(saved)


def test_a_crash_while_writing_leaves_no_model(
    tmp_path: Path, make_model: Callable, tiny: ModelConfig, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration, which makes a folder a model, comes last."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_model(tmp_path / "model", tiny, tokenizer, weights_of(make_model(0).variables), {})
    assert not (tmp_path / "model" / "config.json").exists()
    with pytest.raises(CheckpointError, match="expected a model folder"):
        load_model(tmp_path / "model")


def test_a_missing_bundled_model_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "bundled_model", lambda: tmp_path / "none")
    with pytest.raises(CheckpointError, match="expected a model folder"):
        load_model(tmp_path / "none")


def test_a_copied_folder_is_the_same_model(saved: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(saved, tmp_path / "elsewhere")
    weights, copies = (weights_of(load_model(folder)[0].variables) for folder in (saved, copied))
    assert all(np.array_equal(weights[name], copies[name]) for name in weights)
