"""Runs on stored frames of the encoder learn what they learn from log-mel, and frames are computed once."""

import csv
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from asr.errors import ConfigError
from asr.training.checkpoint import weights_of
from asr.training.config import TrainConfig
from asr.training.stored import StoredEncoder
from asr.training.trainer import Trainer

STEPS = 3
QUIET = {"gain_db": 0.0, "frequency_masks": 0}
ALONE = {"characters": 0.0, "pieces": 0.0, "text": 0.0, "text_first_steps": 0, "prior_steps": 0, "guide_steps": 0}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log-mel of the toy language, which the first run here computes."""
    return tmp_path_factory.mktemp("log-mel")


@pytest.fixture
def trained(toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path, cache: Path) -> Callable[..., Trainer]:
    """Trains parts of a model for some steps on a frozen encoder; without `encoded`, on log-mel."""

    def train(name: str, parts: tuple[str, ...] = ("predictor", "joint"), chunk: int = 8, **options: Any) -> Trainer:
        encoded = options.pop("encoded", "")
        config = make_config(
            model=options,
            data={"cache": str(cache), "texts": []},
            augment=QUIET,
            loss=ALONE,
            schedule={"steps": STEPS, "log_steps": 1, "evaluate_steps": STEPS, "warmup_steps": 1, "chunks": [chunk]},
        )
        data = replace(config.data, encoded=encoded and str(tmp_path / encoded))
        trainer = Trainer(replace(config, trained=parts, data=data), toy, tmp_path / name)
        trainer.train()
        return trainer

    return train


def rows(trainer: Trainer, name: str) -> list[dict[str, str]]:
    with (trainer.run / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def losses(trainer: Trainer, name: str) -> list[float]:
    return [float(row[name]) for row in rows(trainer, "train")]


def test_stored_frames_train_as_log_mel_does(trained: Callable[..., Trainer], tmp_path: Path) -> None:
    """The same losses and errors, but for half precision; a second run takes the first one's frames."""
    plain, stored = trained("plain"), trained("stored", encoded="frames")
    assert isinstance(stored.model.encoder, StoredEncoder)
    assert losses(plain, "transducer") == pytest.approx(losses(stored, "transducer"), rel=2e-3)
    kept, taken = (weights_of(trainer.model.encoder.variables) for trainer in (plain, stored))
    assert kept.keys() == taken.keys()
    assert all(np.array_equal(value, taken[path]) for path, value in kept.items())
    errors = [float(row["transducer"]) for run in (plain, stored) for row in rows(run, "dev")]
    assert errors[0] == pytest.approx(errors[1], abs=0.05)
    (file,) = (tmp_path / "frames").glob("*.f16")
    written = file.stat().st_mtime_ns
    again = trained("again", encoded="frames", attention="additive")
    assert file.stat().st_mtime_ns == written
    assert losses(again, "transducer")[0] != losses(stored, "transducer")[0]


def test_frames_of_another_chunk_are_computed_anew(trained: Callable[..., Trainer], tmp_path: Path) -> None:
    first = trained("first", encoded="frames")
    count = first.corpus.features.spans["u130"][1]
    assert count % 64 == 0  # whole blocks, heard to their end
    shutil.copytree(tmp_path / "frames", tmp_path / "kept")
    second = trained("second", encoded="frames", chunk=2)
    assert second.corpus.features.spans["u130"][1] in (count - 48, count - 32, count - 16, count)
    (old,), (new,) = (list((tmp_path / name).glob("*.f16")) for name in ("kept", "frames"))
    assert old.read_bytes() != new.read_bytes()


def test_the_encoder_decoder_learns_from_them_too(trained: Callable[..., Trainer]) -> None:
    keras.utils.set_random_seed(0)
    found = trained("offline", ("decoder",), chunk=0, kind="encoder_decoder", encoded="frames")
    values = losses(found, "decoder")
    assert len(values) == STEPS and np.isfinite(values).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"trained": ()},
        {"trained": ("encoder", "joint")},
        {"augment": {"gain_db": 3.0}},
        {"augment": {"speeds": [0.9, 1.0]}},
        {"augment": {"splice_probability": 0.2, "splice_model": "model"}},
        {"loss": {"pieces": 0.5}},
        {"schedule": {"chunks": [4, 8], "chunk_weights": [0.5, 0.5]}},
    ],
)
def test_frames_are_stored_only_where_they_stay_the_same(changes: dict[str, Any], make_config: Callable) -> None:
    tables = {"data": {}, "augment": QUIET, "loss": ALONE | {"text": 0.0}}
    parts = changes.get("trained", ("joint",))
    for name in ("augment", "loss", "schedule"):
        tables[name] = tables.get(name, {}) | changes.get(name, {})
    config = make_config(**tables)
    with pytest.raises(ConfigError, match="encoded: expected parts that are trained without the encoder, one chunk"):
        replace(config, trained=parts, data=replace(config.data, encoded="frames"))
