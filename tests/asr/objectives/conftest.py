"""The three ways in which TensorFlow runs an objective."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

Runner = Callable[..., tuple[Any, list[Any]]]


def _runner(mode: str) -> Runner:
    def run(loss_of: Callable[..., Any], inputs: list[Any], *others: Any) -> tuple[Any, list[Any]]:
        """Losses [B] of `loss_of(*inputs, *others)` and the gradients of their sum, one for each input."""

        def compute(inputs: list[Any], others: list[Any]) -> tuple[Any, list[Any]]:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                losses = loss_of(*inputs, *others)
                total = tf.reduce_sum(losses)
            return losses, tape.gradient(total, inputs)

        if mode != "eager":
            compute = tf.function(compute, jit_compile=mode == "compiled", autograph=False)
        tensors = [tf.constant(x, tf.float32) for x in inputs]
        losses, gradients = compute(tensors, [tf.constant(x) for x in others])
        return np.asarray(losses), [np.asarray(g) for g in gradients]

    return run


@pytest.fixture(params=["eager", "graph", "compiled"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Losses and gradients: eager, in a graph (with its fused parts), and compiled whole by XLA."""
    return _runner(request.param)


@pytest.fixture
def run_eager() -> Runner:
    """The same, eager only: for many small cases."""
    return _runner("eager")
