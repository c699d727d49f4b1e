"""Configuration from dictionaries and TOML: what is right is taken, what is wrong is named."""

import dataclasses
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from asr.config import ModelConfig, from_dict, read_toml
from asr.errors import AsrError, ConfigError


@dataclass(frozen=True)
class Inner:
    size: int = 1
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    flag: bool = False
    limit: int | None = None
    rates: tuple[float, ...] = ()
    parts: tuple[Inner, ...] = ()


def test_nested_values_are_taken() -> None:
    values = {
        "name": "x",
        "inner": {"size": 3},
        "flag": True,
        "limit": 7,
        "rates": [1, 0.5],
        "parts": [{"size": 2}, {}],
    }
    expected = Outer("x", Inner(3, 0.5), True, 7, (1.0, 0.5), (Inner(2), Inner()))
    made = from_dict(Outer, values)
    assert made == expected
    assert isinstance(made.rates[0], float)


def test_what_is_left_out_keeps_its_default() -> None:
    assert from_dict(Outer, {"name": "x"}) == Outer("x")
    assert from_dict(Outer, {"name": "x", "limit": None}).limit is None


def test_a_config_comes_back_from_its_own_values() -> None:
    config = ModelConfig(dim=32, heads=2, joint_dim=32, dropout=0.1)
    assert from_dict(ModelConfig, dataclasses.asdict(config)) == config
    outer = Outer("x", parts=(Inner(2),))
    assert from_dict(Outer, dataclasses.asdict(outer)) == outer


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"nam": "x"}, "unknown key nam; known here: flag, inner, limit, name, parts, rates"),
        ({"name": "x", "inner": {"sise": 1}}, "unknown key inner.sise; known here: rate, size"),
        ({"name": "x", "parts": [{}, {"a": 1}]}, r"unknown key parts\[1\].a"),
        ({"name": 1}, "name: expected str, got 1"),
        ({"name": "x", "inner": 3}, "inner: expected a table, got 3"),
        (None, "config: expected a table, got None"),
        ([], r"config: expected a table, got \[\]"),
        ({"name": "x", "inner": {"size": 1.5}}, "inner.size: expected int, got 1.5"),
        ({"name": "x", "inner": {"size": "1"}}, "inner.size: expected int, got '1'"),
        ({"name": "x", "inner": {"size": True}}, "inner.size: expected int, got True"),
        ({"name": "x", "inner": {"rate": True}}, "inner.rate: expected float, got True"),
        ({"name": "x", "inner": {"rate": "fast"}}, "inner.rate: expected float, got 'fast'"),
        ({"name": "x", "inner": {"rate": float("nan")}}, "inner.rate: expected a finite number, got nan"),
        ({"name": "x", "rates": [0.5, float("inf")]}, r"rates\[1\]: expected a finite number, got inf"),
        ({"name": "x", "flag": 1}, "flag: expected bool, got 1"),
        ({"name": "x", "limit": True}, "limit: expected int, got True"),
        ({"name": "x", "limit": "no"}, "limit: expected int, got 'no'"),
        ({"name": "x", "rates": 0.5}, "rates: expected an array, got 0.5"),
        ({"name": "x", "rates": [0.5, "a"]}, r"rates\[1\]: expected float, got 'a'"),
        ({}, "config: .*missing 1 required positional argument: 'name'"),
    ],
)
def test_what_is_wrong_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        from_dict(Outer, values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dim": 0}, "dim: expected a number above 0, got 0"),
        ({"vocabulary": -1}, "vocabulary: expected a number above 0, got -1"),
        ({"kernel": 0}, "kernel: expected a number above 0, got 0"),
        ({"dropout": 1.0}, r"dropout: expected a number in \[0, 1\), got 1.0"),
        ({"label_dropout": -0.1}, r"label_dropout: expected a number in \[0, 1\), got -0.1"),
        ({"drop_path": float("nan")}, "drop_path: expected a finite number, got nan"),
        ({"dim": 36, "heads": 4}, "dim: expected a multiple of 2 x heads = 8, got 36"),
        ({"joint_dim": 30}, "joint_dim: expected a multiple of heads = 4, got 30"),
    ],
)
def test_model_sizes_have_ranges(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^{message}"):
        from_dict(ModelConfig, values)


def test_configs_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ModelConfig().dim = 1  # type: ignore[misc]


def test_toml_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('name = "é"\nlimit = 2\n[inner]\nrate = 1\n', encoding="utf-8")
    assert read_toml(Outer, path) == Outer("é", Inner(1, 1.0), limit=2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name = \n", "config.toml: expected TOML: .*line 1"),
        (b'name = "\xff"', "config.toml: expected TOML: .*utf-8"),
        (b'name = "x"\nname = "y"\n', "config.toml: expected TOML: .*line 2"),
        (b'name = "x"\n[inner]\nsise = 1', "config.toml: unknown key inner.sise; known here: rate, size"),
        (b"name = 3", "config.toml: name: expected str, got 3"),
        (b"", "config.toml: config: .*missing"),
    ],
)
def test_errors_name_the_file(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_toml(Outer, path)
    assert str(caught.value).startswith(str(path))


def test_missing_file_is_an_error_for_users(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"config\.toml: No such file or directory"):
        read_toml(Outer, tmp_path / "config.toml")


def test_settings_go_over_what_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('name = "a"\n[inner]\nsize = 1\n')
    settings = ["name=of two words", "inner.size=3", "inner.rate = 2.5", "limit=7"]
    assert read_toml(Outer, path, settings) == Outer("of two words", Inner(3, 2.5), limit=7)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("name", "expected a setting like schedule.steps=100, got 'name'"),
        ("inner.=3", "expected a setting like"),
        ("name.more=3", "name.more: expected name to be a table, got 'a'"),
        ("inner.length=3", "unknown key inner.length"),
        ("inner.size=many", "inner.size: expected int, got 'many'"),
    ],
)
def test_a_wrong_setting_is_named(setting: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('name = "a"\n[inner]\nsize = 1\n')
    with pytest.raises(ConfigError, match=re.escape(message)):
        read_toml(Outer, path, [setting])
