"""Elementwise chains compiled into one kernel, inside graphs that otherwise run operation by operation.

Training on a CPU is fastest with matrix products in bfloat16 by oneDNN (AMX) and everything between them fused by XLA:
XLA's own products do not use AMX, and unfused elementwise operations are bound by memory. `fused` marks the chains.
"""

import functools
import os
from collections.abc import Callable
from typing import Any

import keras

# XLA 2025-2026 on CPUs: a kernel by YNNPACK that two threads run for the first time moves its constants into both, and
# one of them writes where there is nothing (`EmitYnnSubgraph` in xla/backends/cpu/ynn_emitter.cc). No type, no kernel.
NO_YNNPACK = "--xla_cpu_experimental_ynn_fusion_type="
YNNPACK_SINCE = (2, 21)  # TensorFlow's version; earlier ones stop at a flag that they do not know


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


def allow_concurrent_runs() -> None:
    """Lets several threads run one fused program: to be called before TensorFlow compiles its first program.

    What the environment says of YNNPACK already is left as it is.
    """
    import tensorflow as tf

    flags = os.environ.get("XLA_FLAGS", "")
    version = tuple(int(part) for part in tf.__version__.split(".")[:2])
    if version >= YNNPACK_SINCE and NO_YNNPACK not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {NO_YNNPACK}".strip()
