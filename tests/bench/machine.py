"""What this machine can do at most: the rates that the step's are held against."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SIZE = 768  # of the square matrices: three of them fit into the last-level cache of any server
SECONDS = 0.6  # that each rate is measured


def best_seconds(run: Callable[[], object], seconds: float = SECONDS) -> float:
    """The fastest of as many runs as fit into the time: what the machine can do when nothing disturbs it."""
    run()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - started)
    return best


def product_rates() -> dict[str, float]:
    """Floating-point operations per second of one large matrix product, by what computes it, in 10^9.

    "blas" is NumPy's, "xla" and "graph" TensorFlow's, compiled and not; the last also in bfloat16.
    """
    import tensorflow as tf

    a = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)
    out = np.empty_like(a)
    runs: dict[str, Callable[[], object]] = {"blas": lambda: np.matmul(a, a, out=out)}
    for name, dtype, compiled in (
        ("graph", "float32", False),
        ("xla", "float32", True),
        ("bfloat16", "bfloat16", False),
    ):
        tensor = tf.cast(a, dtype)
        multiply = tf.function(lambda x: tf.matmul(x, x)[:1], jit_compile=compiled, autograph=False)
        runs[name] = lambda multiply=multiply, tensor=tensor: multiply(tensor).numpy()  # type: ignore[misc]
    return {name: round(2 * SIZE**3 / best_seconds(run) / 1e9, 1) for name, run in runs.items()}


def about() -> dict[str, str | int | None]:
    """What distinguishes this machine."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    except OSError:
        model = platform.processor()
    return {"processor": model, "cpus": os.cpu_count(), "python": platform.python_version()}
