"""TensorFlow and JAX give the same features, frames, logits, labels and losses for the same weights."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("model_on_backend.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, make_model: Callable) -> tuple[dict[str, Any], dict[str, Any]]:
    """Results here and on JAX, in a process of its own: Keras has one backend a process."""
    specification = importlib.util.spec_from_file_location("model_on_backend", SCRIPT)
    assert specification is not None and specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)

    rng = np.random.default_rng(0)
    inputs = {
        "samples": rng.normal(0, 0.1, (2, 2 * 8 * 1280)).astype(np.float32),
        "frames": rng.normal(size=(2, 128, 80)).astype(np.float32),
        "frame_lengths": np.array([128, 70], np.int32),
        "characters": rng.integers(0, 28, (2, 6)).astype(np.int32),
        "character_lengths": np.array([6, 4], np.int32),
        "pieces": rng.integers(0, 11, (2, 4)).astype(np.int32),
        "piece_lengths": np.array([4, 2], np.int32),
    }
    folder = tmp_path_factory.mktemp("backends")
    np.savez(folder / "in.npz", **inputs, **script.packed(make_model(0)))
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # compiling is most of the time
    command = [sys.executable, str(SCRIPT), str(folder / "in.npz"), str(folder / "out.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "out.npz") as arrays:
        return script.results(make_model(0), inputs, "eager"), dict(arrays)


def test_results_have_the_same_names_and_shapes(both: tuple) -> None:
    here, there = ({name: value.shape for name, value in results.items()} for results in both)
    assert here == there


@pytest.mark.parametrize(
    "names", ["log-mel", "encoded", "lower", "upper", "predictor", "character logits", "piece logits"]
)
def test_frames_and_logits_agree(names: str, both: tuple) -> None:
    here, there = both
    chosen = [name for name in here if name.startswith(names)]
    assert chosen
    for name in chosen:
        np.testing.assert_allclose(there[name], here[name], atol=1e-4, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("name", ["label", "end"])
def test_arcs_of_the_lattice_agree(name: str, both: tuple) -> None:
    np.testing.assert_allclose(both[1][name], both[0][name], atol=1e-4)


@pytest.mark.parametrize("name", ["characters", "pieces", "transducer"])
def test_losses_agree(name: str, both: tuple) -> None:
    here, there = (float(results[f"loss {name}"]) for results in both)
    assert np.isfinite(here)
    assert there == pytest.approx(here, abs=1e-4)


def test_decoded_labels_agree(both: tuple) -> None:
    here, there = both
    assert any(np.any(here[f"decoded labels {n}"] >= 0) for n in range(2))
    for n in range(2):
        for name in ("labels", "frames"):
            np.testing.assert_array_equal(there[f"decoded {name} {n}"], here[f"decoded {name} {n}"])
        for name in ("log_probs", "weights", "end", "done"):
            np.testing.assert_allclose(there[f"decoded {name} {n}"], here[f"decoded {name} {n}"], atol=1e-4)
