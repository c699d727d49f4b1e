"""Chains compiled into one kernel: inside graphs only, with the same results and gradients."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from asr.fused import NO_YNNPACK, allow_concurrent_runs, fused

# Prints how many of YNNPACK's kernels XLA puts into sums along rows.
KERNELS = """
import tensorflow as tf
from asr.fused import allow_concurrent_runs

allow_concurrent_runs()
x = tf.zeros((8, 256, 512))
sums = tf.function(lambda x: tf.reduce_sum(x * x, axis=-1), jit_compile=True)
print(sums.experimental_get_compiler_ir(x)(stage="optimized_hlo").count("ynn_fusion"))
"""


def chain(x: Any, y: Any) -> Any:
    """Some elementwise operations."""
    return ops.tanh(x) * y + ops.exp(-x)


def inputs() -> list[Any]:
    return [tf.constant(v) for v in np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)]


def test_keeps_name_and_docstring() -> None:
    assert fused(chain).__name__ == "chain"
    assert fused(chain).__doc__ == "Some elementwise operations."


def test_eager_calls_run_the_function_as_it_is() -> None:
    graphs = []

    def function(x: Any) -> Any:
        graphs.append(not tf.executing_eagerly())
        return x + 1.0

    np.testing.assert_array_equal(fused(function)(tf.zeros(2)), [1.0, 1.0])
    assert graphs == [False]


@pytest.mark.parametrize("whole", [None, True])
def test_graphs_give_what_eager_gives(whole: bool | None) -> None:
    """In a graph run operation by operation, and in one that XLA compiles whole."""
    result = tf.function(lambda x, y: fused(chain)(x, y), autograph=False, jit_compile=whole)(*inputs())
    np.testing.assert_allclose(result, chain(*inputs()), atol=1e-6)


def test_graphs_hold_one_compiled_call() -> None:
    graph = tf.function(lambda x, y: fused(chain)(x, y), autograph=False).get_concrete_function(*inputs()).graph
    names = {operation.type for operation in graph.get_operations()}
    assert any("PartitionedCall" in name for name in names)
    assert not names & {"Tanh", "Exp", "Mul"}
    compiled = [f for f in graph.as_graph_def().library.function if f.attr["_XlaMustCompile"].b]
    assert len(compiled) == 1


def test_gradients_pass_through() -> None:
    def gradients(function: Any) -> list[Any]:
        def compute(*values: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(values)
                loss = tf.reduce_sum(function(*values))
            return tape.gradient(loss, values)

        return list(tf.function(compute, autograph=False)(*inputs()))

    for found, expected in zip(gradients(fused(chain)), gradients(chain), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_several_results_and_shapes() -> None:
    both = fused(lambda x, y: (x + y, x - y))
    function = tf.function(lambda x, y: both(x, y), autograph=False)
    for size in (2, 5):
        total, difference = function(tf.ones(size), tf.ones(size))
        np.testing.assert_array_equal(total, np.full(size, 2.0))
        np.testing.assert_array_equal(difference, np.zeros(size))


def test_other_backends_run_the_function_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    assert fused(chain) is chain


@pytest.mark.parametrize("before", ["", "--xla_cpu_enable_fast_min_max=true"])
def test_programs_that_threads_share_have_no_kernels_that_they_could_not(before: str) -> None:
    """In a process of its own: XLA reads its flags once."""
    environment = os.environ | {"XLA_FLAGS": before}
    found = subprocess.run([sys.executable, "-c", KERNELS], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "0"


@pytest.mark.parametrize(
    ("version", "before", "after"),
    [
        ("2.21.0", "", NO_YNNPACK),
        ("2.22.0-rc1", "--xla_dump_to=x", f"--xla_dump_to=x {NO_YNNPACK}"),
        ("2.21.0", f"{NO_YNNPACK}reduce", f"{NO_YNNPACK}reduce"),
        ("2.20.0", "", ""),
    ],
)
def test_flags_of_xla(monkeypatch: pytest.MonkeyPatch, version: str, before: str, after: str) -> None:
    """Added to the user's, and to versions only that know it: at an unknown flag TensorFlow stops."""
    monkeypatch.setattr(tf, "__version__", version)
    monkeypatch.setenv("XLA_FLAGS", before)
    allow_concurrent_runs()
    assert os.environ["XLA_FLAGS"] == after
