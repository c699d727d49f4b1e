"""The objectives are the same on every backend."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name("on_backend.py")
ROOT = Path(__file__).parents[3]


def test_jax_gives_what_tensorflow_gives(tmp_path):
    rng = np.random.default_rng(1)
    arcs = {name: np.log(rng.uniform(0.02, 0.98, (3, 6, 8))) for name in ("label", "end")}
    floats = arcs | {"logits": rng.normal(size=(3, 20, 11)), "prior": -rng.uniform(0.0, 4.0, (3, 6, 8))}
    floats |= {"bigram": rng.dirichlet(np.ones(10), 10)}
    whole = {
        "targets": rng.integers(0, 10, (3, 7)),
        "frames": np.array([20, 11, 6]),
        "blocks": np.array([6, 4, 1]),
        "labels": np.array([7, 3, 0]),
    }
    inputs = {name: x.astype(np.float32) for name, x in floats.items()}
    inputs |= {name: x.astype(np.int32) for name, x in whole.items()}
    np.savez(tmp_path / "in.npz", **inputs)

    command = [sys.executable, str(SCRIPT), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    expected = runpy.run_path(str(SCRIPT))["results"](inputs)
    with np.load(tmp_path / "out.npz") as file:
        assert set(file.files) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(file[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
