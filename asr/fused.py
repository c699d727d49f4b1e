"""Elementwise chains compiled into one kernel, inside graphs that otherwise run operation by operation.

Training on a CPU is fastest with matrix products in bfloat16 by oneDNN (AMX) and everything between them fused by XLA:
XLA's own products do not use AMX, and unfused elementwise operations are bound by memory. `fused` marks the chains.
"""

import functools
from collections.abc import Callable
from typing import Any

import keras


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of tensors with XLA when TensorFlow traces it into a graph.

    Eager calls and other backends run the function as it is; inside a program that XLA compiles whole, it is inlined.

    Args:
        function: Pure function of tensors (positional only, no Python values), in `keras.ops`.

    Returns:
        A function of the same arguments and results.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    compiled = tf.function(function, jit_compile=True, autograph=False)

    @functools.wraps(function)
    def call(*tensors: Any) -> Any:
        if tf.executing_eagerly():
            return function(*tensors)
        return compiled(*(tf.identity(t) for t in tensors))

    return call
