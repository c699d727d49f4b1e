"""A run whose transducer's loss comes in later, or never."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.training.checkpoint import checkpoint_path
from asr.training.config import TrainConfig
from asr.training.trainer import Trainer


def test_a_transducer_is_not_judged_before_its_loss_comes_in(
    toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the run started with one that was trained."""
    rates = {"characters": 0.5, "pieces": 0.4, "transducer": 0.3}
    monkeypatch.setattr("asr.training.trainer.word_error_rates", lambda *_: rates)
    config = make_config(loss={"transducer_after": 5})
    trainer = Trainer(config, toy, tmp_path / "run")
    for trainer.step, found in ((5, None), (6, 0.3)):
        assert trainer.evaluate() == {"dev": {**rates, "transducer": found}}
    trainer.save()
    started = dataclasses.replace(config, start_from=str(checkpoint_path(tmp_path / "run", 6)))
    trainer = Trainer(started, toy, tmp_path / "started")
    trainer.step = 5
    assert trainer.evaluate() == {"dev": rates}


def test_a_loss_without_weight_costs_nothing(
    toy: Path, make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    """The lattice's neither: its block is None then."""
    batch = {"frames": np.zeros((1, 64, 80), np.float32), "frame_lengths": np.array([64])}
    for weight, wanted in ((0.0, False), (0.5, True)):
        trainer = Trainer(make_config(loss={"transducer": weight}), toy, tmp_path / str(weight))
        blocks: list[int | None] = []
        trainer.stepper = lambda _, __, block, *rest, found=blocks: found.append(block) or {}
        trainer._train_step(batch)
        assert [block is not None for block in blocks] == [wanted]
