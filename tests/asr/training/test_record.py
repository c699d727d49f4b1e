"""What a run writes of itself: CSV that goes on after a kill, TensorBoard's scalars, log lines."""

import csv
import logging
import sys
from pathlib import Path

import pytest

from asr.training.record import COLUMNS, RunRecord, _duration

VALUES = [{"characters": 2.0, "norm": 1.0, "rate": 0.1}, {"characters": 4.0, "norm": 2.0, "rate": 0.3, "pieces": 7.0}]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values by tag, as TensorBoard itself reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    import tensorflow as tf

    return {
        tag: [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def test_progress_is_the_mean_of_the_steps(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        RunRecord(tmp_path, 0, 100, 0.0).progress(20, 3600.0, VALUES)
    (row,) = rows(tmp_path / "train.csv")
    assert tuple(row) == COLUMNS
    assert (row["step"], row["hours"], row["transducer"]) == ("20", "1.0", "")
    assert [float(row[name]) for name in ("characters", "pieces", "norm", "rate")] == [3.0, 7.0, 1.5, 0.2]
    assert float(row["speed"]) > 0
    assert "step 20/100 characters 3.000 norm 1.500 pieces 7.000, 1.0 h heard, " in caplog.text
    assert " x real time, " in caplog.text and caplog.text.rstrip().endswith(" left")


def test_evaluations_have_a_row_for_each_split(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = RunRecord(tmp_path, 0, 100, 0.0)
    with caplog.at_level(logging.INFO):
        record.evaluation(50, 7200.0, "dev", {"characters": 0.5, "transducer": 0.25})
        record.evaluation(50, 7200.0, "other", {"characters": 1.5, "transducer": 1.0})
    assert rows(tmp_path / "dev.csv") == [
        {"step": "50", "hours": "2.0", "split": "dev", "characters": "0.5", "transducer": "0.25"},
        {"step": "50", "hours": "2.0", "split": "other", "characters": "1.5", "transducer": "1.0"},
    ]
    assert "step 50 dev WER: characters 50.0 %, transducer 25.0 %" in caplog.text


def test_heads_that_have_not_learnt_yet_have_a_column(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """So that the others stay in theirs when they do."""
    record = RunRecord(tmp_path, 0, 100, 0.0)
    with caplog.at_level(logging.INFO):
        record.evaluation(50, 60.0, "dev", {"pieces": 0.5, "transducer": None, "phonemes": 0.25})
        record.evaluation(100, 120.0, "dev", {"pieces": 0.4, "transducer": 0.3, "phonemes": 0.2})
    found = [tuple(row[head] for head in ("pieces", "transducer", "phonemes")) for row in rows(tmp_path / "dev.csv")]
    assert found == [("0.5", "", "0.25"), ("0.4", "0.3", "0.2")]
    assert "step 50 dev WER: pieces 50.0 %, phonemes 25.0 %" in caplog.text
    assert scalars(tmp_path)["dev/WER transducer"] == [(100, pytest.approx(0.3))]


def test_tensorboard_reads_the_same_figures(tmp_path: Path) -> None:
    record = RunRecord(tmp_path, 0, 100, 0.0)
    record.progress(20, 60.0, VALUES)
    record.progress(40, 120.0, VALUES[:1])
    record.evaluation(40, 120.0, "dev", {"transducer": 0.25})
    found = scalars(tmp_path)
    assert found["train/characters"] == [(20, 3.0), (40, 2.0)]
    assert found["train/pieces"] == [(20, 7.0)]
    assert found["dev/WER transducer"] == [(40, 0.25)]
    assert {"train/norm", "train/rate", "train/speed"} <= found.keys()


def test_without_tensorboard_there_is_csv(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with caplog.at_level(logging.INFO):
        RunRecord(tmp_path, 0, 100, 0.0).progress(20, 60.0, VALUES)
    assert "TensorBoard is not installed" in caplog.text
    assert len(rows(tmp_path / "train.csv")) == 1
    assert not (tmp_path / "tensorboard").exists()


def test_rows_that_a_kill_has_undone_are_dropped(tmp_path: Path) -> None:
    record = RunRecord(tmp_path, 0, 100, 0.0)
    for step in (20, 40, 60):
        record.progress(step, 60.0, VALUES)
        record.evaluation(step, 60.0, "dev", {"transducer": 0.5})
    with (tmp_path / "train.csv").open("a") as file:
        file.write("7")  # killed in the middle of a row: not step 7
    resumed = RunRecord(tmp_path, 40, 100, 60.0)
    assert [row["step"] for row in rows(tmp_path / "train.csv")] == ["20", "40"]
    assert [row["step"] for row in rows(tmp_path / "dev.csv")] == ["20", "40"]
    resumed.progress(60, 90.0, VALUES)
    assert [row["step"] for row in rows(tmp_path / "train.csv")] == ["20", "40", "60"]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_file_without_rows_left_starts_anew(tmp_path: Path) -> None:
    RunRecord(tmp_path, 0, 100, 0.0).progress(20, 60.0, VALUES)
    record = RunRecord(tmp_path, 0, 100, 0.0)
    assert not (tmp_path / "train.csv").exists()
    record.progress(20, 60.0, VALUES)
    assert len(rows(tmp_path / "train.csv")) == 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (5339, "89 min"), (11_100, "3 h 05 min")]
)
def test_times_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert _duration(seconds) == text
