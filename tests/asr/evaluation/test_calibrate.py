"""`asr calibrate` on real speech: the rule is measured, and kept in the model's folder."""

import dataclasses
from pathlib import Path
from shutil import copytree

import pytest

from asr.errors import AsrError
from asr.evaluation.calibrate import calibrate
from asr.model_folder import bundled_model, read_config
from data.manifest import read_manifest, write_manifest

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "manifest.jsonl"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return copytree(bundled_model(), tmp_path / "model")


def test_the_rule_is_measured_and_kept(model: Path, tmp_path: Path) -> None:
    """Each sample twice, for a rule needs a hundred words; as written, with capitals and a full stop."""
    utterances = read_manifest(SAMPLES)
    twice = [
        dataclasses.replace(u, id=f"{u.id} {i}", text=f"{u.transcript.title()}.") for u in utterances for i in "ab"
    ]
    write_manifest(tmp_path / "manifest.jsonl", twice)
    found = calibrate(tmp_path / "manifest.jsonl", sorted({u.split for u in twice}), model, 640, 8, beam=0)
    words = sum(len(u.transcript.split()) for u in twice)
    assert 0.8 * words < found["words"] < 1.2 * words
    assert found["calibration_error_after"] <= found["calibration_error_before"]
    assert -200 < found["start_lag_ms"] < 200 and -200 < found["end_lag_ms"] < 200
    kept = read_config(model)[1]["phonetic_words"]
    assert kept == {name: found[name] for name in kept} and kept != read_config(bundled_model())[1]["phonetic_words"]


def test_a_split_without_transcripts_is_named(model: Path) -> None:
    with pytest.raises(AsrError, match="no utterance of split 'gone' has a reference text"):
        calibrate(SAMPLES, ["gone"], model, 640, 8)
