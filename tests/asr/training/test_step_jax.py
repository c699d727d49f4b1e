"""The step on JAX with two devices against TensorFlow's on one: backend parity and data parallelism in one."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tensorflow as tf

from asr.config import from_dict
from asr.training.checkpoint import weights_of
from asr.training.config import TrainConfig
from asr.training.step_tensorflow import TensorFlowStep
from asr.transducer.model import Transducer

SCRIPT = Path(__file__).with_name("step_on_jax.py")
ROOT = Path(__file__).parents[3]
ENVIRONMENT = {
    "KERAS_BACKEND": "jax",
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # compiling is most of the time
    "PYTHONPATH": str(ROOT),
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("step_on_jax", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """Of two steps from the same weights, by backend."""
    folder = tmp_path_factory.mktemp("jax")
    config = from_dict(TrainConfig, script.CONFIG)
    model = Transducer(config.model, bigram=script.BIGRAM)
    np.savez(folder / "weights.npz", **weights_of(model.variables))
    command = [sys.executable, str(SCRIPT), str(folder / "weights.npz"), str(folder / "out.npz")]
    process = subprocess.Popen(command, env=os.environ | ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    tf.config.run_functions_eagerly(True)  # the same arithmetic; compiling it takes longer
    try:
        on_tensorflow = script.train(TensorFlowStep(model, config))
    finally:
        tf.config.run_functions_eagerly(False)
        _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    with np.load(folder / "out.npz") as stored:
        return {"jax": dict(stored), "tensorflow": on_tensorflow}


def test_batch_and_weights_are_on_both_devices(results):
    assert results["jax"]["devices"].tolist() == [2, 2, 2]


@pytest.mark.parametrize("name", ["characters", "pieces", "phonemes", "crf", "transducer", "norm"])
def test_losses_and_gradients_are_those_of_one_device(results, name):
    for step, tolerance in ((0, 1e-5), (1, 1e-4)):
        found, expected = (results[backend][f"{name} {step}"] for backend in ("jax", "tensorflow"))
        assert found == pytest.approx(expected, rel=tolerance)


def test_moments_and_weights_are_those_of_one_device(results):
    jax, expected = results["jax"], results["tensorflow"]
    assert {n for n in expected if "/" in n} == {n for n in jax if "/" in n}
    for name, value in expected.items():
        if name.startswith(("weights/", "average/")):
            # AdamW divides by the gradient's size: where that is about 0, its sign is chance.
            far = np.abs(jax[name] - value) > 1e-4
            assert far.mean() < 0.02, name
            assert np.abs(jax[name] - value).max() < 5e-3
        elif name.startswith("first/"):
            np.testing.assert_allclose(jax[name], value, atol=1e-4 * max(1.0, np.abs(value).max()), err_msg=name)


def test_every_weight_has_a_gradient(results):
    still = [n for n, v in results["jax"].items() if n.startswith("second/") and not np.any(v)]
    assert still == []
