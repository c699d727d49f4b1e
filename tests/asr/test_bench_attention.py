"""The benchmark of mechanisms runs each of them and writes what it prints; the guide compares each of them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from asr import bench_attention
from asr.bench_attention import SYMBOLS, block_function, main
from asr.config import BLOCK_ATTENTIONS, ENCODER_ATTENTIONS, ModelConfig
from asr.transducer.joint import BlockJoint

GUIDE = Path(bench_attention.__file__).parents[1] / "docs" / "attention.md"


@pytest.mark.parametrize("name", [*BLOCK_ATTENTIONS, *ENCODER_ATTENTIONS])
def test_the_guide_has_a_word_error_rate_of_every_mechanism(name: str) -> None:
    assert re.search(rf"^\| `{name}` \| \**\d\d\.\d %\** \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)


def test_the_benchmark_scores_what_the_joint_scores() -> None:
    config = ModelConfig(dim=8, heads=2, predictor_dim=6, joint_dim=4, vocabulary=5, lookback_frames=2)
    joint = BlockJoint(config)
    joint.build((None, None, 8))
    rng = np.random.default_rng(1)
    encoded, window, states = (
        ops.convert_to_tensor(rng.normal(size=shape).astype(np.float32))
        for shape in ((3, 8, 8), (3, 2, 8), (SYMBOLS, 3, 6))
    )
    found = np.asarray(block_function(joint)(encoded, window, states))
    frames = ops.concatenate([window, joint.frames(encoded)], axis=1)
    for k in range(SYMBOLS):
        logits, _ = joint.attend_stream(states[k], frames, ops.ones((3, 10), "bool"))
        np.testing.assert_array_equal(found[k], np.asarray(logits).argmax(axis=-1))


def test_every_mechanism_is_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_attention, "CONFIG", bench_attention.CONFIG.with_name("tiny.toml"))
    main(["--streams", "1", "2", "--rounds", "1", "--json", str(tmp_path / "out.json")])
    rows = json.loads((tmp_path / "out.json").read_text())
    expected = [("joint", a, n) for n in (1, 2) for a in BLOCK_ATTENTIONS]
    expected += [("encoder", a, n) for n in (1, 2) for a in ENCODER_ATTENTIONS]
    assert [(row["part"], row["attention"], row["streams"]) for row in rows] == expected
    assert all(row["us"] > 0 and row["weights"] > 0 for row in rows)
    printed = capsys.readouterr().out
    assert all(name in printed for name in BLOCK_ATTENTIONS)
