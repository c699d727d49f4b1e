"""The LibriSpeech recipe, from the corpus' folder to figures, with a narrow model: `make recipes` has the real ones."""

from pathlib import Path

from tests.soak.recipes import SHORT, make_corpus, run_recipe

NARROW = {
    "model.dim": 32,
    "model.heads": 2,
    "model.lower_layers": 1,
    "model.upper_layers": 1,
    "model.channels": 4,
    "model.predictor_dim": 16,
    "model.joint_dim": 16,
    "data.bucket_frames": [1216],  # one shape to compile
    "schedule.chunks": [8],
    "schedule.chunk_weights": [1.0],
}


def test_the_base_recipe_is_killed_and_goes_on_to_its_end(tmp_path: Path) -> None:
    make_corpus(tmp_path / "LibriSpeech")
    (tmp_path / "work").mkdir()
    found = run_recipe("base", tmp_path / "LibriSpeech", tmp_path / "work", {**SHORT, **NARROW})
    assert found.keys() == {"dev-clean", "dev-other"} and all(wer > 0 for wer in found.values())
    assert (tmp_path / "work" / "run" / "dev.csv").read_text().count("\n") >= 2
