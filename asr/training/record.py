"""What a run says of itself while it goes: log lines, CSV files and TensorBoard."""

import csv
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

LOSSES = ("characters", "pieces", "transducer", "text")
LATER_LOSSES = ("decoder", "consistency", "teacher", "phonemes", "crf")  # at the end: a run goes on with its old file
COLUMNS = ("step", "hours", "speed", *LOSSES, "norm", "rate", *LATER_LOSSES)  # of train.csv

log = logging.getLogger(__name__)


class RunRecord:
    """Writes train.csv, dev.csv and the folder tensorboard/ in a run's folder.

    Args:
        run: The run's folder.
        step: Step at which the run goes on: later rows, of steps that a kill has undone, are dropped.
        steps: Steps of the whole run.
        audio_seconds: Audio heard before this step.
    """

    def __init__(self, run: Path, step: int, steps: int, audio_seconds: float) -> None:
        """Opens nothing but TensorBoard's writer; the clock starts."""
        self.run, self.steps = run, steps
        self.first_step, self.first_seconds, self.started = step, audio_seconds, time.time()
        for name in ("train.csv", "dev.csv"):
            _drop_after(run / name, step)
        self._board = _board_writer(run / "tensorboard")

    def progress(self, step: int, audio_seconds: float, recent: Sequence[Mapping[str, float]]) -> None:
        """Logs the means of the steps since the last call, with speed and time left.

        Args:
            step: Steps done.
            audio_seconds: Audio heard since the run began.
            recent: Values of each step, by name.
        """
        names = {name for values in recent for name in values}
        means = {n: float(np.mean([v[n] for v in recent if n in v])) for n in sorted(names)}
        seconds = max(time.time() - self.started, 1e-9)
        speed = (audio_seconds - self.first_seconds) / seconds
        left = (self.steps - step) * seconds / max(1, step - self.first_step)
        hours = audio_seconds / 3600
        row = {"step": step, "hours": round(hours, 2), "speed": round(speed, 1)}
        self._append("train.csv", row | {n: round(v, 5) for n, v in means.items()}, COLUMNS)
        self._scalars(step, {f"train/{n}": v for n, v in means.items()} | {"train/speed": speed})
        text = " ".join(f"{n} {v:.3f}" for n, v in means.items() if n != "rate")
        line = "step %d/%d %s, %.1f h heard, %.0f x real time, %s left"
        log.info(line, step, self.steps, text, hours, speed, _duration(left))

    def evaluation(self, step: int, audio_seconds: float, split: str, rates: Mapping[str, float | None]) -> None:
        """Logs the word error rate of each head on a split, of "phonemes" the phonemes'; None: it has not learnt yet.

        A run's heads are always the same: they are the columns.
        """
        found = {head: rate for head, rate in rates.items() if rate is not None}
        text = ", ".join(f"{head} {100 * rate:.1f} %" for head, rate in found.items())
        log.info("step %d %s WER: %s", step, split, text)
        row = {"step": step, "hours": round(audio_seconds / 3600, 2), "split": split, **dict.fromkeys(rates)}
        row |= {head: round(rate, 4) for head, rate in found.items()}
        self._append("dev.csv", row, tuple(row))
        self._scalars(step, {f"{split}/WER {head}": rate for head, rate in found.items()})

    def evaluated(self, step: int, splits: Iterable[str]) -> bool:
        """Whether there are word error rates of a step on all of these splits."""
        path = self.run / "dev.csv"
        if not path.exists():
            return False
        with path.open(newline="", encoding="utf-8") as file:
            found = {row["split"] for row in csv.DictReader(file) if int(row["step"]) == step}
        return found >= set(splits)

    def _append(self, name: str, row: dict[str, Any], columns: Sequence[str]) -> None:
        path = self.run / name
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        if self._board is None:
            return
        import tensorflow as tf

        with self._board.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
        self._board.flush()


def _board_writer(folder: Path) -> Any:
    """TensorBoard's writer, or None where TensorBoard is not installed."""
    try:
        import tensorboard  # noqa: F401  tf.summary writes nothing without it
    except ModuleNotFoundError:
        log.info("TensorBoard is not installed: losses go to train.csv and dev.csv only")
        return None
    import tensorflow as tf

    return tf.summary.create_file_writer(str(folder))


def _drop_after(path: Path, step: int) -> None:
    """Drops a CSV file's rows of steps after `step`; its first column is the step."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines[1:] if line.endswith("\n") and int(line.split(",")[0]) <= step]
    if not kept:
        path.unlink()
    elif len(kept) < len(lines) - 1:
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join([lines[0], *kept]), encoding="utf-8")
        temporary.replace(path)


def _duration(seconds: float) -> str:
    """As people say it: "45 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
