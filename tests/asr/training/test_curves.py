"""Learning curves of runs in a row."""

import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from asr.cli import main
from asr.errors import AsrError
from asr.training.curves import Curve, draw_curves, read_curves

FIRST = "step,hours,speed,characters,pieces,transducer,norm,rate\n20,0.5,60,2.5,,,1,0.001\n40,1.0,60,2.0,5.0,,1,0.001\n"
SECOND = "step,hours,speed,characters,pieces,transducer,norm,rate\n20,0.25,60,1.5,4.0,3.0,1,0.001\n"


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    for name, text in (("a", FIRST), ("b", SECOND)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.csv").write_text(text)
    (tmp_path / "b" / "dev.csv").write_text("step,hours,split,pieces,transducer\n20,0.25,dev,0.5,0.625\n")
    return [tmp_path / "a", tmp_path / "b"]


def test_hours_go_on_from_run_to_run(runs: list[Path]) -> None:
    losses, rates, ends = read_curves(runs)
    assert losses == {
        "characters": Curve([0.5, 1.0, 1.25], [2.5, 2.0, 1.5]),
        "pieces": Curve([1.0, 1.25], [5.0, 4.0]),
        "transducer": Curve([1.25], [3.0]),
    }
    assert rates == {"dev pieces": Curve([1.25], [0.5]), "dev transducer": Curve([1.25], [0.625])}
    assert ends == [1.0, 1.25]


def test_a_loss_that_was_off_leaves_a_gap(tmp_path: Path) -> None:
    """However far apart the lines are; before it came in, there is nothing to leave a gap in."""
    lines = ["step,hours,characters,pieces,transducer", "1,7,4,,2", "2,14,3,5,", "3,21,2,4,", "4,28,1,3,1"]
    (tmp_path / "train.csv").write_text("\n".join(lines))
    losses, _, _ = read_curves([tmp_path])
    assert losses["characters"] == Curve([7.0, 14.0, 21.0, 28.0], [4.0, 3.0, 2.0, 1.0])
    assert losses["pieces"] == Curve([14.0, 21.0, 28.0], [5.0, 4.0, 3.0])
    assert losses["transducer"].hours == [7.0, 14.0, 21.0, 28.0]
    np.testing.assert_array_equal(losses["transducer"].values, [2.0, math.nan, math.nan, 1.0])


def test_the_command_draws_a_picture(runs: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "curves.png"
    with pytest.raises(SystemExit) as stopped:
        main(["curves", *map(str, runs), "--output", str(picture)])
    assert not stopped.value.code
    data = picture.read_bytes()
    assert data.startswith(b"\x89PNG") and len(data) > 10_000


def test_runs_side_by_side_have_lines_of_their_own(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each from 0 hours on, with its name and its style; the dotted lines of runs in a row are not there."""
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    for side_by_side in (False, True):
        draw_curves(runs, tmp_path / "curves.png", side_by_side)
    row, beside = ([axes.lines for axes in figure.axes] for figure in drawn)
    assert [line.get_label() for line in beside[0]] == [
        *("a: characters", "a: pieces"),
        *("b: characters", "b: pieces", "b: transducer"),
    ]
    assert [line.get_linestyle() for line in beside[0]] == ["-", "-", "--", "--", "--"]
    assert list(beside[0][2].get_xdata()) == [0.25]
    assert [line.get_label() for line in beside[1]] == ["b: dev pieces", "b: dev transducer"]
    assert list(beside[1][0].get_ydata()) == [50.0]
    assert [line.get_label() for line in row[0][:3]] == ["characters", "pieces", "transducer"]
    assert len(row[0]) == 4  # and the end of the first run
    with pytest.raises(SystemExit):
        main(["curves", *map(str, runs), "--output", str(tmp_path / "c.png"), "--side-by-side"])
    assert drawn[2].axes[0].lines[0].get_label() == "a: characters"


def test_more_runs_than_styles_are_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(AsrError, match="expected at most 4 runs side by side, got 6"):
        draw_curves(runs * 3, tmp_path / "curves.png", side_by_side=True)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"none/train\.csv: No such file.*expected the folder of a training run"):
        read_curves([tmp_path / "none"])


@pytest.mark.parametrize("text", ["", "step,loss\n1,2\n"])
def test_other_tables_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(AsrError, match=r"expected rows with hours"):
        read_curves([tmp_path])


def test_an_unknown_kind_of_picture_is_refused(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(AsrError, match=r"curves\.doc: expected a name that ends in \.png, \.svg or \.pdf"):
        draw_curves(runs, tmp_path / "curves.doc")
