"""Models side by side: a panel for each, whatever it heard."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.attention_models import COLUMNS, draw_models, main
from asr.streaming.attended import Attended
from asr.streaming.looks import BlockLook
from asr.streaming.recognizer import Recognizer
from asr.transcript import Transcript


def attended(labels: int) -> Attended:
    weights = np.full((labels, 2, 16), 1 / 16, np.float32)
    looks = (BlockLook(640, 1280, ("▁a",) * labels, weights, 0.9),) if labels else ()
    return Attended(np.zeros((128, 80), np.float32), Transcript((), 1280), looks, {})


@pytest.mark.parametrize("count", [1, COLUMNS + 2])
def test_a_panel_for_each_model(count: int, tmp_path: Path) -> None:
    draw_models({f"model {n}": attended(n) for n in range(count)}, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert all(f"<!-- model {n} -->" in text for n in range(count))
    assert text.count("<!-- seconds -->") == min(count, COLUMNS)


def test_every_model_hears_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    models, heard = [], []
    monkeypatch.setattr(Recognizer, "__init__", lambda self, model, mode, beam: models.append((model.name, beam)))
    monkeypatch.setattr(
        Recognizer, "attend", lambda self, samples: heard.append(samples) or attended(len(samples) // 8000)
    )
    sound = np.linspace(-0.5, 0.5, 16_000, dtype=np.float32)
    soundfile.write(tmp_path / "a.wav", sound, 16_000, subtype="FLOAT")
    main([str(tmp_path / "a.wav"), "models/dot", "models/area", "--output", str(tmp_path / "a.png")])
    assert models == [("dot", 1), ("area", 1)] and (tmp_path / "a.png").stat().st_size
    assert capsys.readouterr().out == "dot: \narea: \n"
    np.testing.assert_allclose(heard, [sound, sound], atol=1e-6)
    main([str(tmp_path / "a.wav"), "a/model", "b/model", "--output", str(tmp_path / "a.png")])
    assert capsys.readouterr().out == "a/model: \nb/model: \n"
