"""Runs by commit, and what counts as slower."""

from pathlib import Path

import pytest

from tests.bench.history import Number, Run, append, compare, main, read


def run(commit: str, machine: str = "here", **values: float) -> Run:
    units = {"held": "streams"}
    return Run(
        commit, "2026-01-01T00:00:00", machine, tuple(Number(k, v, units.get(k, "ms")) for k, v in values.items())
    )


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    file, runs = tmp_path / "history.jsonl", [run("a", step=7.0, held=200), run("b", step=3.5)]
    assert read(file) == []
    for one in runs:
        append(file, one)
    assert read(file) == runs
    with file.open("a") as more:
        more.write('{"commit": "c"}\n')
    with pytest.raises(ValueError, match=r"history\.jsonl:3: expected a run of the benchmark"):
        read(file)


def test_slower_is_what_differs_by_more_than_noise() -> None:
    old = [run("a", step=10.0, steady=10.0, loud=8.0, held=200), run("a", step=10.2, steady=10.0, loud=12.0, held=200)]
    changes = {one.name: one for one in compare([*old, run("b", step=12.0, steady=10.4, loud=12.0, held=150, new=1.0)])}
    verdicts = {name: one.verdict for name, one in changes.items()}
    assert verdicts == {"step": "slower", "steady": "same", "loud": "same", "held": "slower"}
    assert changes["loud"].noise == pytest.approx(0.4)
    assert changes["step"].worse == pytest.approx(1.9 / 10.1)
    assert compare([run("a", held=100), run("b", held=150)])[0].verdict == "faster"


def test_only_runs_of_one_machine_are_compared() -> None:
    runs = [run("a", step=1.0), run("b", "elsewhere", step=9.0), run("c", step=2.0), run("d", step=2.0)]
    assert compare(runs)[0].before == 2.0
    assert compare(runs, "a")[0].before == 1.0
    with pytest.raises(ValueError, match="expected a run of b on here, got none"):
        compare(runs, "b")
    with pytest.raises(ValueError, match="expected a history with runs, got none"):
        compare([])


def test_the_command_fails_if_something_is_slower(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    file = tmp_path / "history.jsonl"
    assert main(["--history", str(file)]) == 2
    assert "expected a history with runs" in capsys.readouterr().err
    for one in (run("a", step=2.0), run("b", step=1.0), run("c", step=4.0)):
        append(file, one)
    assert main(["--history", str(file)]) == 1
    assert capsys.readouterr().out == "slower  step: 1 → 4 (+300.0 % worse, noise 5.0 %)\n"
    assert main(["--history", str(file), "--before", "b"]) == 1
