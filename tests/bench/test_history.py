"""Runs by commit, and what counts as slower."""

import subprocess
from pathlib import Path

import pytest

from tests.bench.history import HISTORY, ROOT, Number, Run, append, commit, compare, main, read


def run(name: str, machine: str = "here", **values: float) -> Run:
    units = {"held": "streams"}
    return Run(name, "2026-01-01T00:00:00", machine, tuple(Number(k, v, units.get(k, "ms")) for k, v in values.items()))


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
    assert compare([run("c8144dd0b1", step=3.0), *runs], "c8144dd")[0].before == 3.0
    assert compare([run("c8144dd0b1", step=3.0), *runs], "c8144dd0b1" + "0" * 30)[0].before == 3.0
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


def test_a_run_that_is_kept_does_not_change_the_source(tmp_path: Path) -> None:
    """Two runs of one commit are two of it, though the first is in the history by then."""

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    assert commit(tmp_path) == "unknown"
    file = tmp_path / HISTORY.relative_to(ROOT)
    file.parent.mkdir(parents=True)
    for path in (file, tmp_path / "source.py"):
        path.touch()
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    name = commit(tmp_path)
    assert len(name) == 10
    append(file, run(name, step=1.0))
    assert commit(tmp_path) == name
    (tmp_path / "source.py").write_text("changed = True\n")
    assert commit(tmp_path) == f"{name}+"
