"""The GRU against Keras's, and its written-out gradient against the derivative of an unrolled loop."""

import keras
import numpy as np
import pytest
from keras import ops

from asr.transducer.gru import gru_sequence, gru_step


def case(steps: int = 5, batch: int = 3, width: int = 4, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = ((steps, batch, 3 * width), (width, 3 * width), (3 * width,))
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def test_equals_the_gru_of_keras() -> None:
    x, recurrent, bias = case()
    layer = keras.layers.GRU(4, reset_after=True, return_sequences=True)
    layer.build((None, None, 12))
    layer.set_weights([np.eye(12, dtype=np.float32), recurrent, np.stack([np.zeros_like(bias), bias])])
    expected = np.asarray(layer(x.transpose(1, 0, 2))).transpose(1, 0, 2)
    np.testing.assert_allclose(np.asarray(gru_sequence(x, recurrent, bias)), expected, atol=1e-5)


def test_sequence_is_step_after_step() -> None:
    x, recurrent, bias = case()
    state, states = np.zeros((3, 4), np.float32), []
    for now in x:
        state = gru_step(now, state, recurrent, bias)
        states.append(np.asarray(state))
    np.testing.assert_allclose(np.asarray(gru_sequence(x, recurrent, bias)), np.stack(states), atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_gradient_is_that_of_the_unrolled_loop(steps: int) -> None:
    import tensorflow as tf

    inputs = [tf.constant(v) for v in case(steps)]
    weights = tf.constant(np.random.default_rng(1).normal(size=(steps, 3, 4)).astype(np.float32))

    def unrolled(x, recurrent, bias):  # type: ignore[no-untyped-def]
        h, states = ops.zeros((3, 4)), []
        for u in range(steps):
            h = gru_step(x[u], h, recurrent, bias)
            states.append(h)
        return ops.stack(states)

    found = []
    for function in (unrolled, gru_sequence):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(weights * function(*inputs))
        found.append(tape.gradient(loss, inputs))
    for expected, gradient in zip(*found, strict=True):
        np.testing.assert_allclose(gradient, expected, atol=1e-4)
