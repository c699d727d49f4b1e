"""Models mixed: what is averaged, what is not, and what is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from asr.errors import CheckpointError
from asr.model_folder import load_model, read_config, save_model
from asr.tokenizer import train_tokenizer
from asr.training.checkpoint import load_arrays, weights_of
from asr.training.mix import mix_models
from asr.transducer.model import Transducer


@pytest.fixture
def folders(tmp_path: Path, make_model: Callable) -> list[Path]:
    """Tiny models 0, 1 and 2, the last with dropout."""
    tokenizer = train_tokenizer(["a b ab ba c"] * 3, 11)
    made = []
    for seed in range(3):
        model = make_model(seed)
        config = dataclasses.replace(model.config, dropout=0.1 * (seed == 2))
        made.append(tmp_path / f"m{seed}")
        save_model(made[-1], config, tokenizer, weights_of(model.variables), {"name": f"m{seed}", "hours_heard": seed})
    return made


def test_weights_are_the_weighted_mean_and_the_rest_is_the_firsts(folders: list[Path], tmp_path: Path) -> None:
    mix_models(folders, tmp_path / "out", [1.0, 2.0, 5.0])
    parts = [load_arrays(folder / "weights.npz")[0] for folder in folders]
    mixed, _ = load_arrays(tmp_path / "out" / "weights.npz")
    assert mixed.keys() == parts[0].keys()
    for name, value in mixed.items():
        wanted = np.average([p[name].astype(np.float64) for p in parts], axis=0, weights=[1, 2, 5])
        np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=1e-4, err_msg=name)
    config, about = read_config(tmp_path / "out")
    assert config == read_config(folders[0])[0]
    assert about["name"] == "out" and about["hours_heard"] == 0
    assert about["mixed"] == {"m0": 1.0, "m1": 2.0, "m2": 5.0}
    load_model(tmp_path / "out")


def test_the_files_of_words_come_along(folders: list[Path], tmp_path: Path) -> None:
    for folder, content in zip(folders, (b"first", b"other"), strict=False):
        for name in ("words.npz", "next_words.npz", "lexicon.npz", "NOTICE", "README.md"):
            (folder / name).write_bytes(content)
    mix_models(folders[:2], tmp_path / "out", [1.0, 1.0])
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"words.npz", "next_words.npz", "lexicon.npz", "NOTICE"} and "README.md" not in names
    assert (tmp_path / "out" / "words.npz").read_bytes() == b"first"


def test_models_of_the_same_name_are_told_apart(folders: list[Path], tmp_path: Path) -> None:
    same = tmp_path / "other" / "m0"
    copytree(folders[1], same)
    mix_models([folders[0], same], tmp_path / "out", [0.75, 0.25])
    assert read_config(tmp_path / "out")[1]["mixed"] == {str(folders[0]): 0.75, str(same): 0.25}


def test_a_part_can_be_the_firsts_alone(folders: list[Path], tmp_path: Path) -> None:
    mix_models(folders[:2], tmp_path / "out", [1.0, 1.0], ["joint"])
    first, second, mixed = (
        load_arrays(folder / "weights.npz")[0] for folder in (folders[0], folders[1], tmp_path / "out")
    )
    for name, value in mixed.items():
        own = np.array_equal(value, first[name])
        assert own if name.startswith("joint") else own == np.array_equal(first[name], second[name]), name


@pytest.mark.parametrize("shares", [[1.0], [1.0, 0.0], [1.0, float("nan")], [1.0, -1.0]])
def test_shares_are_one_number_above_zero_for_each(folders: list[Path], tmp_path: Path, shares: list[float]) -> None:
    with pytest.raises(ValueError, match="expected a number above 0 for each of 2 models"):
        mix_models(folders[:2], tmp_path / "out", shares)
    assert not (tmp_path / "out").exists()


def test_heads_of_other_sizes_may_stay_the_first_models(
    folders: list[Path], tmp_path: Path, make_model: Callable
) -> None:
    """As that of a model whose lower head has more symbols."""
    config, about = read_config(folders[1])
    weights, _ = load_arrays(folders[1] / "weights.npz")
    wide = {k: np.pad(v, [(0, 0)] * (v.ndim - 1) + [(0, 3)]) if "characters" in k else v for k, v in weights.items()}
    more = dataclasses.replace(config, characters=config.characters + 3)
    save_model(folders[1], more, train_tokenizer(["a b ab ba c"] * 3, 11), wide, about)
    with pytest.raises(CheckpointError, match="characters = 31 where"):
        mix_models(folders[:2], tmp_path / "out", [1, 1])
    mix_models(folders[1::-1], tmp_path / "out", [1, 1], ["characters"])
    mixed, _ = load_arrays(tmp_path / "out" / "weights.npz")
    assert read_config(tmp_path / "out")[0].characters == 31
    assert mixed["characters/kernel"].shape[1] == 32


def test_models_with_a_phoneme_head(folders: list[Path], tmp_path: Path) -> None:
    """Are mixed with it if it says the same; with models that lack it, it is the first's."""
    tokenizer = train_tokenizer(["a b ab ba c"] * 3, 11)
    model = Transducer(dataclasses.replace(read_config(folders[0])[0], phonemes=3))
    heads = [tmp_path / "p0", tmp_path / "p1"]
    for folder in heads:
        save_model(folder, model.config, tokenizer, weights_of(model.variables), {"phonemes": ["a", "b", "c"]})
    mix_models(heads, tmp_path / "both", [1, 1])
    assert read_config(tmp_path / "both")[1]["phonemes"] == ["a", "b", "c"]
    mix_models([heads[0], folders[0]], tmp_path / "first", [1, 1], ["phoneme"])
    mixed = weights_of(load_model(tmp_path / "first")[0].variables)
    for name, value in weights_of(load_model(heads[0])[0].variables).items():
        if name.startswith("phoneme"):
            np.testing.assert_array_equal(mixed[name], value)
    save_model(heads[1], model.config, tokenizer, weights_of(model.variables), {"phonemes": ["a", "b", "d"]})
    with pytest.raises(CheckpointError, match=r"p1: expected the same phonemes as .*p0"):
        mix_models(heads, tmp_path / "out", [1, 1])


def test_what_does_not_belong_together_is_refused(folders: list[Path], tmp_path: Path, make_model: Callable) -> None:
    config, about = read_config(folders[1])
    weights, _ = load_arrays(folders[1] / "weights.npz")
    same = train_tokenizer(["a b ab ba c"] * 3, 11)
    other = train_tokenizer(["a c ac ca b"] * 3, 11)
    out = tmp_path / "out"
    with pytest.raises(CheckpointError, match=r"expected a part of the model \(.*joint.*\), got 'jiont'"):
        mix_models(folders[:2], out, [1, 1], ["jiont"])
    save_model(folders[1], dataclasses.replace(config, left_frames=3), same, weights, about)
    with pytest.raises(CheckpointError, match="left_frames = 3 where"):
        mix_models(folders[:2], out, [1, 1])
    save_model(folders[1], config, other, weights, about)
    with pytest.raises(CheckpointError, match="expected the same wordpieces"):
        mix_models(folders[:2], out, [1, 1])
    save_model(folders[1], config, same, {k: v for k, v in weights.items() if "joint/query" not in k}, about)
    with pytest.raises(CheckpointError, match="expected joint/query of shape"):
        mix_models(folders[:2], out, [1, 1])
    mix_models(folders[:2], out, [1, 1], ["joint"])  # which it need not have
    save_model(folders[1], dataclasses.replace(config, attention="local_p"), same, weights, about)
    with pytest.raises(CheckpointError, match="attention = 'local_p' where"):
        mix_models(folders[:2], out, [1, 1])
    mix_models(folders[:2], out, [1, 1], ["joint"])  # nor one like it
