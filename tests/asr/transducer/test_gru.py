"""The GRU's written-out gradient against differentiating its steps."""

import numpy as np
import pytest
import tensorflow as tf

from asr.transducer.gru import gru_sequence, gru_step

LABELS, BATCH, WIDTH = 6, 3, 5


@pytest.fixture
def inputs():
    """Projected inputs, recurrent kernel, bias, and a random direction of the output."""
    rng = np.random.default_rng(3)
    shapes = (LABELS, BATCH, 3 * WIDTH), (WIDTH, 3 * WIDTH), (3 * WIDTH,), (LABELS, BATCH, WIDTH)
    return [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes]


def stepped(x, recurrent, bias):
    h, states = tf.zeros((x.shape[1], recurrent.shape[0])), []
    for u in range(x.shape[0]):
        h = gru_step(x[u], h, recurrent, bias)
        states.append(h)
    return tf.stack(states)


def with_gradients(function, x, recurrent, bias, direction):
    with tf.GradientTape() as tape:
        tape.watch([x, recurrent, bias])
        states = function(x, recurrent, bias)
        loss = tf.reduce_sum(states * direction)
    return states, tape.gradient(loss, [x, recurrent, bias])


@pytest.mark.parametrize("mode", ["eager", "graph", "compiled"])
def test_states_and_gradients_equal_differentiated_steps(inputs, mode):
    expected, expected_gradients = with_gradients(stepped, *inputs)

    def run(*tensors):
        return with_gradients(gru_sequence, *tensors)

    if mode != "eager":
        run = tf.function(run, jit_compile=mode == "compiled", autograph=False)
    states, gradients = run(*inputs)
    np.testing.assert_allclose(states, expected, atol=1e-6)
    for got, wanted in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(got, wanted, atol=2e-6)


def test_step_is_the_written_formula(inputs):
    x, recurrent, bias, _ = inputs
    h = tf.constant(np.random.default_rng(4).normal(size=(BATCH, WIDTH)), tf.float32)
    of_x, of_h = np.split(x[0].numpy(), 3, axis=-1), np.split((h @ recurrent + bias).numpy(), 3, axis=-1)
    update, reset = (1 / (1 + np.exp(-(a + b))) for a, b in zip(of_x[:2], of_h[:2], strict=True))
    new = np.tanh(of_x[2] + reset * of_h[2])
    np.testing.assert_allclose(gru_step(x[0], h, recurrent, bias), update * h + (1 - update) * new, atol=1e-6)
