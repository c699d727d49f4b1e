"""Programs that are traced once: found again with other weights, never trusted when touched, never in the way."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from asr.streaming.kept_trace import KeptTrace, Layout


class Pair(NamedTuple):
    a: Any
    b: Any


class Scaled:
    """scale · x + shift, doubled `count` times, and how often it was traced."""

    def __init__(self, scale: float, shift: float, count: int = 3) -> None:
        self.variable = keras.Variable(np.full(2, scale, np.float32), name="scale")
        self.constant = ops.convert_to_tensor(np.full(2, shift, np.float32))
        self.foreign: Any = 0.0
        self.count, self.traced = count, 0

    def __call__(self, state: dict[str, Any], pair: Pair | None, x: Any) -> Any:
        self.traced += 1
        y = self.variable * x + self.constant + self.foreign
        _, y = ops.while_loop(lambda i, y: i < self.count, lambda i, y: (i + 1, 2.0 * y), (np.int32(0), y))
        added = y if pair is None else y + pair.a - pair.b
        return {"z": state["z"] + 1, "a": [state["a"], added]}, y

    def kept(self, folder: Path | str, identity: str = "scaled") -> KeptTrace:
        environment = {"EARSHOT_CACHE": str(folder)}
        return KeptTrace(self, f"{identity} {self.count}", [self.variable], [self.constant], environment)


X = np.array([1.0, 2.0], np.float32)
STATE = {"z": np.zeros(3, np.int32), "a": np.ones((1, 2), np.float32)}


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.graph"))


def check(result: Any, expected: np.ndarray, added: float = 0.0) -> None:
    (state, y) = result
    np.testing.assert_allclose(y, expected)
    np.testing.assert_array_equal(state["z"], np.ones(3))
    np.testing.assert_array_equal(state["a"][0], np.ones((1, 2)))
    np.testing.assert_allclose(state["a"][1], expected + added)


def test_another_process_finds_it_and_has_weights_of_its_own(tmp_path: Path) -> None:
    first = Scaled(2.0, 1.0)
    program = first.kept(tmp_path)
    for _ in range(2):
        check(program(STATE, None, X), 8 * (2 * X + 1))
    assert first.traced == 1
    second = Scaled(5.0, 3.0)
    program = second.kept(tmp_path)
    check(program(STATE, None, X), 8 * (5 * X + 3))
    second.variable.assign(np.full(2, 7.0))
    check(program(STATE, None, X), 8 * (7 * X + 3))
    assert second.traced == 0
    assert len(files(tmp_path)) == 1


def test_other_arguments_and_settings_are_other_programs(tmp_path: Path) -> None:
    one = Scaled(2.0, 1.0)
    program = one.kept(tmp_path)
    check(program(STATE, None, X), 8 * (2 * X + 1))
    check(program(STATE, Pair(np.float32(4), np.float32(1)), X), 8 * (2 * X + 1), 3.0)
    other = Scaled(2.0, 1.0, count=1)
    check(other.kept(tmp_path)(STATE, None, X), 2 * (2 * X + 1))
    check(Scaled(3.0, 1.0).kept(tmp_path, "another")(STATE, None, X), 8 * (3 * X + 1))
    assert (one.traced, other.traced) == (2, 1)
    assert len(files(tmp_path)) == 4
    fresh = Scaled(2.0, 1.0)  # all of them side by side, though they were traced under the same names
    check(fresh.kept(tmp_path)(STATE, Pair(np.float32(4), np.float32(1)), X), 8 * (2 * X + 1), 3.0)
    assert fresh.traced == 0


@pytest.mark.parametrize("harm", [lambda content: b"", lambda content: content[:-9] + b"x" * 9])
def test_a_damaged_file_is_made_anew(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    check(Scaled(2.0, 1.0).kept(tmp_path)(STATE, None, X), 8 * (2 * X + 1))
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(harm(whole))
    second = Scaled(2.0, 1.0)
    check(second.kept(tmp_path)(STATE, None, X), 8 * (2 * X + 1))
    assert second.traced == 1
    assert len(file.read_bytes()) == pytest.approx(len(whole), abs=200)
    third = Scaled(2.0, 1.0)
    check(third.kept(tmp_path)(STATE, None, X), 8 * (2 * X + 1))
    assert third.traced == 0


def test_what_reads_other_tensors_is_not_kept(tmp_path: Path) -> None:
    for foreign in (1.0, 2.0):
        one = Scaled(2.0, 1.0)
        one.foreign = ops.convert_to_tensor(np.full(2, foreign, np.float32))
        check(one.kept(tmp_path)(STATE, None, X), 8 * (2 * X + 1 + foreign))
        assert one.traced >= 1
    assert files(tmp_path) == []


def test_without_a_cache_it_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    check(Scaled(2.0, 1.0).kept("off")(STATE, None, X), 8 * (2 * X + 1))
    assert not caplog.records
    (tmp_path / "file").write_text("in the way")
    check(Scaled(2.0, 1.0).kept(tmp_path / "file")(STATE, None, X), 8 * (2 * X + 1))
    assert "traced programs are not kept" in caplog.text


def test_tensors_stay_and_results_may_be_written_to(tmp_path: Path) -> None:
    """Big tables come as tensors: they are not packed in every call."""
    program = Scaled(2.0, 1.0).kept(tmp_path)
    tables = Pair(ops.convert_to_tensor(np.float32(4)), ops.convert_to_tensor(np.float32(1)))
    for _ in range(2):
        result = program(STATE, tables, X)
        check(result, 8 * (2 * X + 1), 3.0)
        assert result[0]["z"].dtype == np.int32
        result[0]["z"][:] = 7
        result[1][...] = np.nan  # what the next call gives is other memory
    check(program(STATE, Pair(np.float32(4), np.float32(1)), X), 8 * (2 * X + 1), 3.0)
    assert len(files(tmp_path)) == 2


SHAPES = st.lists(st.integers(0, 3), max_size=3).map(tuple)


@given(st.lists(st.tuples(st.sampled_from(["float32", "int32", "bool"]), st.none() | SHAPES), max_size=8))
def test_what_is_packed_is_unpacked(kinds: list[tuple[str, tuple[int, ...] | None]]) -> None:
    layout = Layout(tuple(("", None) if shape is None else (name, shape) for name, shape in kinds))
    rng = np.random.default_rng(len(kinds))
    leaves = [object() if s is None else rng.integers(0, 2, s).astype(name) for name, s in kinds]
    packed = layout.packed(leaves, np.reshape, np.concatenate)
    vectors = [x for x in packed if isinstance(x, np.ndarray)]
    assert [(x.dtype.name, len(x)) for x in vectors] == layout.vectors
    assert len({name for name, _ in layout.vectors}) == len(layout.vectors)
    for found, leaf in zip(layout.unpacked(packed, np.reshape), leaves, strict=True):
        if isinstance(leaf, np.ndarray):
            assert (found.dtype, found.shape) == (leaf.dtype, leaf.shape)
            np.testing.assert_array_equal(found, leaf)
        else:
            assert found is leaf
