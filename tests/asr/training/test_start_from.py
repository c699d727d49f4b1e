"""What a run may take of another: weights whose labels mean the same, of parts that are there."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.errors import CheckpointError, ConfigError
from asr.tokenizer import read_tokenizer, train_tokenizer
from asr.training.checkpoint import checkpoint_path, load_arrays, part, weights_of
from asr.training.config import TrainConfig
from asr.training.export import export_run
from asr.training.trainer import Trainer

Start = Callable[..., dict[str, NDArray[Any]]]
WORDS = ("ab", "ba", "cad", "dab", "cd", "bad")


@pytest.fixture(scope="module")
def base(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with pronunciations by other phonemes, and with a tokenizer of as many wordpieces, some of them others."""
    folder = tmp_path_factory.mktemp("start")
    for name, mark in (("said.json", "~"), ("others.json", "!")):
        (folder / name).write_text(json.dumps({word: [letter + mark for letter in word] for word in WORDS}))
    (folder / "other.model").write_bytes(train_tokenizer(["add cab", "dad bab", "cab add dab"] * 9, 12).model)
    return folder


@pytest.fixture(scope="module")
def first(toy: Path, base: Path, make_config: Callable[..., TrainConfig]) -> Path:
    """Folder of a run with a phoneme head, as it was before its first step, and of its export, "model"."""
    config = make_config(
        model={"phonemes": 4},
        data={"pronunciations": str(base / "said.json")},
        loss={"phonemes": 0.3},
        schedule={"seed": 7},
    )
    Trainer(config, toy, base / "run").save()
    export_run(base / "run", base / "run" / "model")
    return base / "run"


@pytest.fixture
def start(toy: Path, first: Path, base: Path, make_config: Callable[..., TrainConfig], tmp_path: Path) -> Start:
    """Starts a run from the first one; returns its weights."""

    def run(
        folder: bool = False, said: str = "said.json", tokenizer: str = "", phonemes: int = 4, **choice: tuple[str, ...]
    ) -> dict[str, NDArray[Any]]:
        data = {
            "pronunciations": str(base / said) if phonemes else "",
            "tokenizer": tokenizer and str(base / tokenizer),
        }
        config = make_config(
            model={"phonemes": phonemes}, data=data, loss={"phonemes": 0.3 if phonemes else 0.0}, schedule={"seed": 8}
        )
        path = first / "model" if folder else checkpoint_path(first, 0)
        if not (tmp_path / "cache").exists():
            shutil.copytree(first / "cache", tmp_path / "cache")
        config = dataclasses.replace(config, start_from=str(path), **choice)
        return weights_of(Trainer(config, toy, tmp_path).model.variables)

    return run


@pytest.fixture
def taken(first: Path) -> Callable[[dict[str, NDArray[Any]]], set[str]]:
    """Parts of which a run has the first one's matrices."""
    arrays = part(load_arrays(checkpoint_path(first, 0))[0], "average")

    def parts(weights: dict[str, NDArray[Any]]) -> set[str]:
        matrices = {name for name, value in weights.items() if value.ndim > 1}
        return {name.split("/")[0] for name in matrices if np.allclose(weights[name], arrays[name], 2e-3, 2e-3)}

    return parts


ALL = {"encoder", "predictor", "joint", "characters", "pieces", "phoneme_lower", "phoneme_upper", "phonemes"}


@pytest.mark.parametrize("folder", [False, True])
def test_all_is_taken_whose_labels_are_the_same(start: Start, taken: Callable, folder: bool) -> None:
    assert taken(start(folder)) == ALL
    assert taken(start(folder, phonemes=0)) == {name for name in ALL if "phoneme" not in name}


@pytest.mark.parametrize("folder", [False, True])
def test_wordpieces_of_another_tokenizer_are_not_taken(
    start: Start, taken: Callable, first: Path, base: Path, folder: bool
) -> None:
    """Of as many pieces, they would fit; the encoder and the other heads say none."""
    pieces, others = (read_tokenizer(path).texts for path in (first / "tokenizer.model", base / "other.model"))
    assert len(pieces) == len(others) and pieces != others
    for parts in ((), ("encoder", "predictor")):
        with pytest.raises(ConfigError, match=r"start_from: expected the wordpieces of .* data\.tokenizer"):
            start(folder, tokenizer="other.model", start_parts=parts)
    assert taken(start(folder, tokenizer="other.model", start_parts=("encoder",))) == {"encoder"}
    without = ("predictor", "joint", "pieces")
    assert taken(start(folder, tokenizer="other.model", start_without=without)) == ALL - {*without}


@pytest.mark.parametrize("folder", [False, True])
def test_phonemes_of_other_pronunciations_are_not_taken(start: Start, taken: Callable, folder: bool) -> None:
    with pytest.raises(ConfigError, match=r"start_from: expected the phonemes of .* data\.pronunciations"):
        start(folder, said="others.json")
    assert taken(start(folder, said="others.json", start_without=("phonemes",))) == ALL - {"phonemes"}


def test_parts_that_are_not_there_are_named(start: Start) -> None:
    """Nothing would be taken of them."""
    expected = r"start_parts: expected parts of what the run starts from \(characters, encoder, .*\), got 'encodr'"
    with pytest.raises(ConfigError, match=expected):
        start(start_parts=("predictor", "encodr"))


def test_a_file_of_weights_is_no_checkpoint(
    toy: Path, first: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """Its folder is what is meant."""
    config = dataclasses.replace(make_config(), start_from=str(first / "model" / "weights.npz"))
    with pytest.raises(CheckpointError, match=r"weights\.npz: expected a model folder or a run's checkpoint"):
        Trainer(config, toy, tmp_path)
