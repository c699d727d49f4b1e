"""Results by commit, and what became slower: `make bench-compare`.

A line of the history file is one run: commit, time, machine, and its numbers by name. Smaller is better for all of
them but those whose unit is a rate or a number of streams. Noise is what runs of the same commit on the same machine
differ by, and 5 % where there is only one run of it.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
HISTORY = Path(__file__).parent / "history.jsonl"
NOISE = 0.05
SHORT = 10  # characters of a commit in the history
MORE_IS_BETTER = ("streams", "gflops", "x")  # units


@dataclass(frozen=True)
class Number:
    """One number of a run.

    Attributes:
        name: Stays the same from commit to commit.
        value: The number.
        unit: ms, s, MiB, %, ratio; streams, gflops, x: more is better.
    """

    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Run:
    """One run of the benchmark.

    Attributes:
        commit: Of the source; with "+" if files were changed.
        time: ISO 8601.
        machine: Processor and number of CPUs: runs on others are not compared.
        numbers: What was measured.
    """

    commit: str
    time: str
    machine: str
    numbers: tuple[Number, ...]


def commit(root: Path = ROOT) -> str:
    """The commit that is checked out; "unknown" outside a repository.

    The history itself, which every run changes, is no part of the source.
    """
    history = HISTORY.relative_to(ROOT).as_posix()
    try:
        name = _git(root, "rev-parse", f"--short={SHORT}", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", f":(exclude){history}")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + "+" * bool(changed)


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def read(path: Path) -> list[Run]:
    """The runs of a file, the oldest first; none if there is no file.

    Raises:
        ValueError: naming the line that is no run.
    """
    if not path.exists():
        return []
    runs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            values = json.loads(line)
            numbers = tuple(Number(**one) for one in values.pop("numbers"))
            runs.append(Run(numbers=numbers, **values))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}:{number}: expected a run of the benchmark: {error}") from error
    return runs


def append(path: Path, run: Run) -> None:
    """Adds a run."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(run)) + "\n")


@dataclass(frozen=True)
class Change:
    """A number in two commits.

    Attributes:
        name: The number's.
        before: Median of the earlier commit's runs.
        after: Median of the later one's.
        noise: Relative difference that the runs of one commit have among themselves.
        worse: Relative change for the worse; negative: for the better.
    """

    name: str
    before: float
    after: float
    noise: float
    worse: float

    @property
    def verdict(self) -> str:
        """Slower, faster or the same."""
        return "same" if abs(self.worse) <= self.noise else "slower" if self.worse > 0 else "faster"


def compare(runs: Sequence[Run], before: str | None = None) -> list[Change]:
    """The latest run's commit against another.

    Args:
        runs: The oldest first.
        before: The other commit, or as much of its name as tells it; None: the one before the latest, on the same
            machine.

    Raises:
        ValueError: if there is no other commit's run on that machine.
    """
    if not runs:
        raise ValueError("expected a history with runs, got none: make bench")
    latest = runs[-1]
    same = [run for run in runs if run.machine == latest.machine]
    others = [run.commit for run in same if run.commit != latest.commit and _names(before, run.commit)]
    if not others:
        raise ValueError(f"expected a run of {before or 'another commit'} on {latest.machine}, got none")
    old, new = ([run for run in same if run.commit == name] for name in (others[-1], latest.commit))
    return [_change(number, old, new) for number in latest.numbers if _values(old, number.name)]


def _names(wanted: str | None, commit: str) -> bool:
    """Whether a name is a commit's, shorter or longer than it is kept."""
    return wanted is None or commit.startswith(wanted) or (len(commit) >= SHORT and wanted.startswith(commit))


def _values(runs: Sequence[Run], name: str) -> list[float]:
    return [number.value for run in runs for number in run.numbers if number.name == name]


def _change(number: Number, old: Sequence[Run], new: Sequence[Run]) -> Change:
    before, after = (_values(runs, number.name) for runs in (old, new))
    middle = statistics.median(before), statistics.median(after)
    spread = max((max(values) - min(values)) / abs(statistics.median(values) or 1.0) for values in (before, after))
    relative = (middle[1] - middle[0]) / abs(middle[0] or 1.0)
    worse = -relative if number.unit in MORE_IS_BETTER else relative
    return Change(number.name, *middle, noise=max(NOISE, spread), worse=worse)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints what changed; exit code 1 if something became slower beyond noise."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history", description=__doc__)
    parser.add_argument("--history", type=Path, default=HISTORY)
    parser.add_argument("--before", help="commit to compare with; default: the one before the latest")
    options = parser.parse_args(arguments)
    try:
        changes = compare(read(options.history), options.before)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for change in sorted(changes, key=lambda one: -one.worse):
        print(
            f"{change.verdict:7} {change.name}: {change.before:g} → {change.after:g} "
            f"({100 * change.worse:+.1f} % worse, noise {100 * change.noise:.1f} %)"
        )
    return int(any(change.verdict == "slower" for change in changes))


if __name__ == "__main__":
    sys.exit(main())
