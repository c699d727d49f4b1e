"""Checkpoints: whole or not there, and an error that says what is wrong with one."""

import numpy as np
import pytest

from asr.config import ModelConfig
from asr.errors import CheckpointError
from asr.training.checkpoint import (
    assign_weights,
    checkpoint_path,
    checkpoint_steps,
    load_arrays,
    part,
    prune,
    save_arrays,
    weights_of,
)
from asr.transducer.model import Transducer


def test_arrays_and_description_come_back(tmp_path):
    arrays = {"weights/a": np.arange(6, dtype=np.float32).reshape(2, 3), "first/a": np.zeros(2, np.float16)}
    save_arrays(tmp_path / "new" / "x.npz", arrays, {"step": 3, "texts": ["▁a"]})
    found, meta = load_arrays(tmp_path / "new" / "x.npz")
    assert meta == {"step": 3, "texts": ["▁a"]} and set(found) == set(arrays)
    np.testing.assert_array_equal(found["weights/a"], arrays["weights/a"])
    assert found["first/a"].dtype == np.float16
    assert list(part(found, "weights")) == ["a"]
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["x.npz"]  # nothing unfinished is left


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    save_arrays(path, {"a": np.ones(3)}, {"step": 1})

    def crash(file, **arrays):
        file.write(b"half a file")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", crash)
    with pytest.raises(OSError, match="disk full"):
        save_arrays(path, {"a": np.zeros(3)}, {"step": 2})
    assert load_arrays(path)[1] == {"step": 1}


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.npz: No such file"):
        load_arrays(tmp_path / "none.npz")


@pytest.mark.parametrize("keep", [0, 10, 300])
def test_a_cut_file_is_an_error(tmp_path, keep):
    path = tmp_path / "x.npz"
    save_arrays(path, {"a": np.ones(100)}, {"step": 1})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"x\.npz: expected a checkpoint, got a damaged or other file"):
        load_arrays(path)


def test_flipped_bytes_are_an_error(tmp_path):
    path = tmp_path / "x.npz"
    save_arrays(path, {"a": np.ones(100)}, {"step": 1})
    content = bytearray(path.read_bytes())
    content[300:310] = bytes(10)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_arrays(path)


@pytest.mark.parametrize("content", [b"not a zip", b"\x93NUMPY\x01\x00"])
def test_another_kind_of_file_is_an_error(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or other file"):
        load_arrays(tmp_path / "x.npz")


def test_arrays_without_a_description_are_an_error(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones(3))
    with pytest.raises(CheckpointError, match="damaged or other file"):
        load_arrays(tmp_path / "x.npz")


def test_a_plain_array_is_an_error(tmp_path):
    np.save(tmp_path / "x.npy", np.ones(3))
    with pytest.raises(CheckpointError, match="damaged or other file"):
        load_arrays(tmp_path / "x.npy")


def test_weights_go_from_one_model_to_another(tiny: ModelConfig, make_model):
    weights = weights_of(make_model(1).variables)
    assert "encoder/mean" in weights and not any("seed" in name for name in weights)
    other = Transducer(tiny)
    assign_weights(other.variables, weights, "x.npz")
    for name, value in weights_of(other.variables).items():
        np.testing.assert_array_equal(value, weights[name])


def test_the_first_weight_of_another_shape_is_named_and_nothing_is_set(make_model):
    model = make_model(1)
    weights = weights_of(model.variables)
    other = {name: value + 1 for name, value in weights.items()}
    other["joint/query"] = np.zeros((7, 9), np.float32)
    with pytest.raises(CheckpointError, match=r"x\.npz: joint/query: expected shape \[24, 32\], got \[7, 9\]"):
        assign_weights(model.variables, other, "x.npz")
    np.testing.assert_array_equal(weights_of(model.variables)["encoder/mean"], weights["encoder/mean"])


def test_a_missing_weight_is_named(make_model):
    model = make_model(1)
    weights = weights_of(model.variables)
    del weights["encoder/upper0/in1"]
    with pytest.raises(CheckpointError, match=r"x\.npz: no weights for encoder/upper0/in1"):
        assign_weights(model.variables, weights, "x.npz")


def test_the_newest_checkpoints_are_kept_and_unfinished_ones_are_not(tmp_path):
    for step in (5, 20, 100, 1_000_000):
        checkpoint_path(tmp_path, step).write_bytes(b"")
    (tmp_path / ".step-0000200.npz.17.tmp").write_bytes(b"")
    assert checkpoint_steps(tmp_path) == [5, 20, 100, 1_000_000]
    prune(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-0000100.npz", "step-1000000.npz"]
    prune(tmp_path, 0)  # the newest always stays
    assert checkpoint_steps(tmp_path) == [1_000_000]
