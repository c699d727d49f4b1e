"""Floating-point operations of a step, counted in TensorFlow's graph of it before anything is compiled.

Counted are multiplications and additions of matrix products and convolutions, two for each pair of factors. Everything
else (norms, gates, softmax) is a few per cent of them and is left out, so that a rate made from the count is never
flattered. What stands in a loop counts once for each round that is told.
"""

import math
from typing import Any

from asr.streaming.engine import Engine


def step_operations(engine: Engine, rounds: float) -> float:
    """Operations of one step of all rows.

    Args:
        engine: On TensorFlow.
        rounds: Rounds of the loop over labels in a block, on average.
    """
    import tensorflow as tf
    from keras import tree

    state = tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), engine.initial_state())
    rows = engine.rows
    inputs = [
        tf.TensorSpec((rows, engine.samples), tf.float32),
        tf.TensorSpec((rows,), tf.int32),
        tf.TensorSpec((rows,), tf.bool),
        tf.TensorSpec((), tf.float32),
        tf.TensorSpec((rows,), tf.int32),
    ]
    traced = tf.function(engine._advance, autograph=False).get_concrete_function(state, *inputs, None)
    return _operations(traced.graph, rounds)


def _operations(graph: Any, rounds: float) -> float:
    total = 0.0
    for operation in graph.get_operations():
        if operation.type in ("MatMul", "BatchMatMulV2", "BatchMatMul"):
            total += _product(operation)
        elif operation.type == "Conv2D":
            kernel = operation.inputs[1].shape
            total += 2.0 * math.prod(operation.outputs[0].shape) * math.prod(kernel[:3])
        for times, inner in _called(graph, operation, rounds):
            total += times * _operations(inner, rounds)
    return total


def _product(operation: Any) -> float:
    first, out = operation.inputs[0].shape, operation.outputs[0].shape
    flipped = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
    return 2.0 * math.prod(out) * first[-2 if flipped else -1]


def _called(graph: Any, operation: Any, rounds: float) -> list[tuple[float, Any]]:
    """Graphs of the functions that an operation runs, and how often."""
    names = {"While": [("body", rounds)], "StatelessWhile": [("body", rounds)]}
    names |= {name: [("f", 1.0)] for name in ("PartitionedCall", "StatefulPartitionedCall")}
    found = []
    for attribute, times in names.get(operation.type, []):
        function = graph._get_function(operation.get_attr(attribute).name)
        found.append((times, function.graph))
    return found
