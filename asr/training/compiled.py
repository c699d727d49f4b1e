"""A model's function as the backend runs it fast, with the weights that the model has at each call."""

from collections.abc import Callable
from typing import Any

import keras


def compiled(function: Callable[..., Any], model: Any) -> Callable[..., Any]:
    """The function as a graph on TensorFlow, compiled on JAX, as it is elsewhere.

    Args:
        function: Of tensors, in `keras.ops`; it reads the model's weights and changes none.
        model: Whose weights they are. On JAX they are inputs of the program: else those of its first call would stay.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False)
    if backend != "jax":
        return function
    import jax

    variables = model.variables

    def stateless(weights: Any, *inputs: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, weights, strict=True))):
            return function(*inputs)

    program = jax.jit(stateless)
    return lambda *inputs: program([v.value for v in variables], *inputs)
