"""The objective's way from the configuration into the training step."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from asr.config import from_dict
from asr.errors import ConfigError
from asr.training.config import LossConfig, ScheduleConfig, TrainConfig
from asr.training.step_tensorflow import TensorFlowStep
from asr.transducer.model import Transducer


def test_full_sum_with_context_feedback_is_an_error():
    with pytest.raises(ConfigError, match="the sum over alignments is not exact"):
        from_dict(TrainConfig, {"model": {"context_feedback": True}})


@pytest.mark.parametrize("feedback", [False, True])
def test_viterbi_trains_either_model(feedback):
    values = {"model": {"context_feedback": feedback}, "loss": {"objective": "viterbi"}}
    config = from_dict(TrainConfig, values)
    assert config.model.context_feedback is feedback and config.loss.objective == "viterbi"


def test_an_unknown_objective_is_an_error():
    with pytest.raises(ConfigError, match='expected "full_sum" or "viterbi", got \'best\''):
        LossConfig(objective="best")


@pytest.fixture
def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "frames": rng.normal(size=(1, 64, 80)).astype(np.float32),
        "frame_lengths": np.array([64], np.int32),
        "characters": np.zeros((1, 1), np.int32),
        "character_lengths": np.array([1], np.int32),
        "pieces": np.array([[1, 2]], np.int32),
        "piece_lengths": np.array([2], np.int32),
    }


def test_the_step_trains_on_the_configured_objective(tiny, batch):
    model = Transducer(dataclasses.replace(tiny, context_feedback=True, label_dropout=0.0))
    config = TrainConfig(
        model=model.config, loss=LossConfig(objective="viterbi"), schedule=ScheduleConfig(mixed_precision=False)
    )
    expected = float(model.losses_of(batch, 4, 4, objective="viterbi")["transducer"])
    found = TensorFlowStep(model, config)(batch, 4, 4, step=0, rate=0.01, delay_penalty=0.0)
    assert found["transducer"] == pytest.approx(expected, rel=1e-4)
    assert np.any(model.predictor.feedback)  # moved off zero


def test_the_step_trains_with_look_ahead(tiny, batch):
    """Whose chunk must be known where the step is traced."""
    model = Transducer(dataclasses.replace(tiny, lookahead_frames=2, label_dropout=0.0))
    config = TrainConfig(model=model.config, schedule=ScheduleConfig(mixed_precision=False))
    expected = {name: float(loss) for name, loss in model.losses_of(batch, 4, 4).items()}
    step = TensorFlowStep(model, config)
    tf.config.run_functions_eagerly(True)  # the same arithmetic; compiling it takes longer
    try:
        found = step(batch, 4, 4, step=0, rate=0.01, delay_penalty=0.0)
    finally:
        tf.config.run_functions_eagerly(False)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    moments = zip(step.names, step.slots["first"], strict=True)
    assert not [name for name, moment in moments if not np.any(moment)]
