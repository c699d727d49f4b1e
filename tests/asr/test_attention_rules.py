"""The rules of attention over the same energies: each does what it is known for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from keras import ops

from asr.attention_rules import CHUNK, RADIUS, content_energies, draw_rules, main, weights_by_rule
from asr.errors import AsrError
from asr.streaming.attended import Attended
from asr.streaming.looks import BlockLook
from asr.streaming.recognizer import Recognizer
from asr.transcript import Transcript

LABELS, FRAMES = 10, 40


@pytest.fixture
def energies() -> np.ndarray:
    """A staircase of 4 frames a label; label 6 fits better where label 1 was said, label 9 hardly anywhere."""
    places = np.arange(FRAMES)
    made = np.stack([-0.5 * (places - (4 * u + 1)) ** 2 for u in range(LABELS)]).astype(np.float32)
    made[6] = np.maximum(made[6], 3.0 - 0.5 * (places - 5) ** 2)
    made[9] = 0.0
    return np.asarray(ops.log_softmax(made))


def test_each_rule_does_what_it_is_known_for(energies: np.ndarray) -> None:
    weights = weights_by_rule(energies)
    assert list(weights) == ["global", "hard", "local-m", "monotonic", "MoChA", "area"]
    np.testing.assert_allclose(weights["global"], np.exp(energies), atol=1e-5)
    for name in ("global", "hard", "local-m", "area"):
        np.testing.assert_allclose(weights[name].sum(axis=1), 1.0, atol=1e-5)
    places = {name: w.argmax(axis=1) for name, w in weights.items()}
    straight = [1, 5, 9, 13, 17, 21]
    for found in places.values():
        assert np.abs(found[:6] - straight).max() <= 1
    assert places["global"][6] == places["hard"][6] == 5  # the like sound, long ago
    assert places["local-m"][6] == 25
    assert set(np.unique(weights["hard"])) == set(np.unique(weights["monotonic"])) == {0.0, 1.0}
    far = np.abs(np.arange(FRAMES) - 4.0 * np.arange(LABELS)[:, None]) > RADIUS
    assert not weights["local-m"][far].any() and weights["global"][far].any()
    assert not weights["monotonic"][[6, 9]].any()  # no going back, and nothing that fits well enough to stop at
    for u in (0, 1, 2, 3, 4, 5, 7, 8):
        seen = np.flatnonzero(weights["MoChA"][u])
        assert seen.max() == places["monotonic"][u] and seen.min() > seen.max() - CHUNK


@pytest.mark.parametrize("frames", [128, 100])
def test_energies_are_those_of_the_joints_heads(frames: int, make_model: Callable, mel: Callable) -> None:
    """Without places the joint's own weights over one block are their softmax; a last block is filled up."""
    model, x, labels = make_model(0), mel(1, frames)[0], [3, 1, 7]
    found = content_energies(model, x, labels)
    assert found.shape == (3, 16)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1.0, atol=1e-5)
    joint, heads = model.joint, model.joint.heads
    if frames % 64:
        return
    keys = np.asarray(joint.frames(model(x[None], ops.convert_to_tensor([frames], "int32"), chunk=8)[1]))[0]
    query = np.asarray(model.predictor(np.array([labels], np.int32)))[0, :3] @ np.asarray(joint.query)
    parts = zip(np.split(query, heads, axis=1), np.split(keys[:, : joint.joint_dim], heads, axis=1), strict=True)
    mean = np.mean([q @ k.T / np.sqrt(joint.head_dim) for q, k in parts], axis=0)
    np.testing.assert_allclose(found, np.asarray(ops.log_softmax(mean)), atol=1e-4)


def test_a_panel_for_each_rule(energies: np.ndarray, tmp_path: Path) -> None:
    look = BlockLook(0, 640, ("▁a",) * LABELS, np.full((LABELS, 2, 12), 1 / 12, np.float32), 0.9)
    attended = Attended(np.zeros((320, 80), np.float32), Transcript((), 3200), (look,), {})
    draw_rules(attended, energies, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert all(f"<!-- {name}" in text for name in ("energies", "global", "hard", "MoChA", "area", "block-wise"))


def test_silence_has_nothing_to_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Attended(np.zeros((100, 80), np.float32), Transcript((), 1000), (), {})
    monkeypatch.setattr(Recognizer, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(Recognizer, "attend", lambda _, samples: heard)
    soundfile.write(tmp_path / "a.wav", np.zeros(16_000, np.float32), 16_000)
    with pytest.raises(AsrError, match="expected words without a long pause between them, got 0 segments"):
        main([str(tmp_path / "a.wav"), "--output", str(tmp_path / "a.png")])
