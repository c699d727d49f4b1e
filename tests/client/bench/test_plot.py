import sys
from pathlib import Path

import pytest

from client.bench.plot import plot
from tests.client.bench.making import make_result

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("target_ms", [None, 500.0])
def test_a_picture(tmp_path: Path, target_ms: float | None) -> None:
    plot([make_result(8), make_result(1), make_result(32, None)], target_ms, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)


def test_nothing_to_draw(tmp_path: Path) -> None:
    plot([make_result(8, None)], 500.0, tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(PNG)


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ValueError, match="matplotlib is not installed: pip install matplotlib"):
        plot([make_result(8)], None, tmp_path / "out.png")
