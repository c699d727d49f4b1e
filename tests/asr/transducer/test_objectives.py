"""Full sum and Viterbi, with and without context feedback, through the whole model."""

import dataclasses
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from asr.transducer.model import Transducer

SCRIPT = Path(__file__).with_name("losses_on_backend.py")
ROOT = Path(__file__).parents[3]
CASES = [("full_sum", False), ("viterbi", False), ("viterbi", True)]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(SCRIPT))


@pytest.fixture
def batch(script) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value) for name, value in script["example"]().items()}


def values(model: Transducer, batch: dict[str, Any], objective: str, **options: Any) -> dict[str, float]:
    found = model.losses_of(batch, 4, 4, objective=objective, **options)
    return {name: float(value) for name, value in found.items()}


def test_the_best_alignment_costs_more_than_all_together(script, batch):
    model = script["model_of"]()
    full_sum, viterbi = (values(model, batch, objective) for objective in ("full_sum", "viterbi"))
    assert 0.0 < full_sum["transducer"] < viterbi["transducer"]
    assert {k: v for k, v in full_sum.items() if k != "transducer"} == pytest.approx(
        {k: v for k, v in viterbi.items() if k != "transducer"}
    )
    assert values(model, batch, "full_sum") == pytest.approx(full_sum)


def test_full_sum_is_the_default(script, batch):
    model = script["model_of"]()
    found = {name: float(value) for name, value in model.losses_of(batch, 4, 4).items()}
    assert found == pytest.approx(values(model, batch, "full_sum"))


def test_feedback_adds_one_weight_and_starts_as_the_model_without(tiny, script, batch):
    plain, fed = script["model_of"](), script["model_of"](context_feedback=True)
    before = {v.path: tuple(v.shape) for v in plain.trainable_variables}
    after = {v.path: tuple(v.shape) for v in fed.trainable_variables}
    width = script["SIZES"]["joint_dim"], 3 * script["SIZES"]["predictor_dim"]
    assert after == before | {"predictor/feedback": width}
    assert not np.any(Transducer(dataclasses.replace(tiny, context_feedback=True)).predictor.feedback)

    expected = values(plain, batch, "viterbi")
    assert abs(values(fed, batch, "viterbi")["transducer"] - expected["transducer"]) > 1e-3
    fed.predictor.feedback.assign(tf.zeros(width))
    assert values(fed, batch, "viterbi") == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("objective", "feedback"), CASES)
def test_padding_changes_nothing(script, batch, objective, feedback):
    model = script["model_of"](context_feedback=feedback)
    expected = values(model, batch, objective)
    wide = dict(batch)
    wide["frames"] = tf.pad(batch["frames"], [[0, 0], [0, 64], [0, 0]], constant_values=3.0)
    wide |= {k: tf.pad(batch[k], [[0, 0], [0, 3]], constant_values=5) for k in ("characters", "pieces", "text")}
    assert values(model, wide, objective) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("objective", "feedback"), CASES)
def test_training_lowers_the_loss(script, batch, objective, feedback):
    model = script["model_of"](context_feedback=feedback)
    variables = [v.value for v in model.trainable_variables if v.path.split("/")[0] in ("predictor", "joint")]

    @tf.function(autograph=False)
    def descend():
        with tf.GradientTape() as tape:
            loss = model.losses_of(batch, 4, 4, objective=objective, delay_penalty=0.01, training=True)["transducer"]
        gradients = tape.gradient(loss, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(0.1 * tf.convert_to_tensor(gradient))
        return loss, [tf.reduce_all(tf.math.is_finite(g)) & tf.reduce_any(g != 0.0) for g in gradients]

    losses, sound = zip(*(descend() for _ in range(10)), strict=True)
    assert np.all(sound)  # every weight has a gradient
    assert np.mean(losses[-3:]) < 0.9 * losses[0]


def test_a_prior_is_for_the_alignment(script, batch):
    model = script["model_of"](context_feedback=True)
    with_prior = values(model, batch, "viterbi", guide_weight=tf.constant(20.0))["transducer"]
    assert with_prior > values(model, batch, "viterbi")["transducer"]


def test_without_a_block_there_is_no_transducer_loss(script, batch):
    model = script["model_of"](context_feedback=True)
    assert set(model.losses_of(batch, 4, None)) == {"characters", "pieces", "text"}


@pytest.mark.parametrize(
    ("feedback", "objective", "expected"),
    [(False, "best", "full_sum or viterbi, got 'best'"), (True, "full_sum", "viterbi, got 'full_sum'")],
)
def test_an_objective_that_cannot_train_the_model_is_an_error(script, batch, feedback, objective, expected):
    model = script["model_of"](context_feedback=feedback)
    with pytest.raises(ValueError, match=expected):
        model.losses_of(batch, 4, 4, objective=objective)


def test_jax_gives_what_tensorflow_gives(script, tmp_path):
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(SCRIPT), str(tmp_path / "out.npz")]
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    expected = script["losses"]()
    with np.load(tmp_path / "out.npz") as file:
        assert set(file.files) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(file[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_the_text_loss_is_the_internal_language_models_cross_entropy(script, batch):
    model = script["model_of"]()
    text, lengths = script["example"]()["text"], script["example"]()["text_lengths"]
    log_probs = np.asarray(model.joint.expected(model.predictor(batch["text"])))
    expected = [-sum(log_probs[i, u, text[i, u]] for u in range(n)) for i, n in enumerate(lengths)]
    np.testing.assert_allclose(model.text_loss(batch["text"], batch["text_lengths"]), expected, rtol=1e-4)
    assert values(model, batch, "full_sum")["text"] == pytest.approx(sum(expected) / sum(lengths), rel=1e-4)
    without = {k: v for k, v in batch.items() if not k.startswith("text")}
    assert "text" not in values(model, without, "full_sum")


def test_losses_in_mixed_precision_are_near_those_in_full(script, batch):
    expected = values(script["model_of"](), batch, "full_sum")
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        found = values(script["model_of"](), batch, "full_sum")
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert found == pytest.approx(expected, rel=0.05)
