import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.objectives.ctc import ctc_alignment, ctc_loss, ctc_posteriors


def random_case(seed: int, batch: int, frames: int, labels: int, symbols: int) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(batch, frames, symbols + 1)) * 2, rng.integers(0, symbols, (batch, labels)).astype(np.int32)


def enumerated(logits: NDArray, targets: list[int]) -> tuple[float, NDArray]:
    """Loss and its gradient from every path one by one, float64: logits [S, V + 1]."""
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    count, symbols = logits.shape
    blank, total, posterior = symbols - 1, 0.0, np.zeros_like(logits)
    for path in itertools.product(range(symbols), repeat=count):
        if [s for s, _ in itertools.groupby(path) if s != blank] == targets:
            p = math.exp(sum(log_probs[i, s] for i, s in enumerate(path)))
            total += p
            posterior[np.arange(count), path] += p
    return -math.log(total), np.exp(log_probs) - posterior / total


def test_equals_tensorflows(run):
    logits, targets = random_case(1, 5, 12, 6, 7)
    frames, labels = np.array([12, 9, 12, 5, 1], np.int32), np.array([5, 4, 0, 2, 1], np.int32)
    targets[0, :5] = [3, 3, 3, 1, 1]  # repeats
    losses, (gradient,) = run(ctc_loss, [logits], targets, frames, labels)

    variable = tf.Variable(logits, dtype=tf.float32)
    with tf.GradientTape() as tape:
        time_major = tf.transpose(variable, (1, 0, 2))
        expected = tf.nn.ctc_loss(targets, time_major, labels, frames, blank_index=7)
    np.testing.assert_allclose(losses, expected, rtol=1e-4, atol=1e-4)
    slope = np.array(tape.gradient(expected, variable))
    np.testing.assert_allclose(gradient, slope, atol=1e-4)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), frames=st.integers(1, 5), labels=st.integers(0, 3))
def test_every_path_counts_once(seed, frames, labels):
    logits, targets = random_case(seed, 1, 5, 3, 2)
    said = [int(t) for t in targets[0, :labels]]
    needed = labels + sum(a == b for a, b in itertools.pairwise(said))
    variable = tf.Variable(logits, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = ctc_loss(variable, tf.constant(targets), tf.constant([frames]), tf.constant([labels]))
    gradient = np.array(tape.gradient(loss, variable))[0]
    if needed > frames:
        assert float(loss[0]) == 0.0 and not gradient.any()
        return
    expected, slope = enumerated(logits[0, :frames], said)
    assert float(loss[0]) == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(gradient[:frames], slope, atol=1e-4)
    assert not gradient[frames:].any()


@pytest.mark.parametrize(
    ("targets", "frames"), [([0, 1, 0, 1], 3), ([0, 0, 0, 0], 6), ([0, 0, 1, 0], 0), ([0, 1, 1, 0], 4)]
)
def test_labels_that_do_not_fit_cost_nothing(run, targets, frames):
    logits, _ = random_case(2, 2, 7, 4, 3)
    both = np.array([targets, [0, 1, 2, 0]], np.int32)
    counts = np.array([frames, 7], np.int32)
    losses, (gradient,) = run(ctc_loss, [logits], both, counts, np.array([4, 3], np.int32))
    assert losses[0] == 0.0 and not gradient[0].any()
    assert losses[1] > 0.0 and gradient[1].any() and np.isfinite(gradient).all()


def test_repeats_need_a_blank_between(run):
    """Two equal labels in three frames have one path: label, blank, label."""
    logits = np.random.default_rng(3).normal(size=(1, 3, 3))
    log_probs = logits[0] - np.log(np.exp(logits[0]).sum(axis=1, keepdims=True))
    shape = np.array([[1, 1]], np.int32), np.array([3], np.int32), np.array([2], np.int32)
    losses, _ = run(ctc_loss, [logits], *shape)
    assert losses == pytest.approx([-(log_probs[0, 1] + log_probs[1, 2] + log_probs[2, 1])], abs=1e-5)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_gradient_is_the_slope(seed):
    logits, targets = random_case(seed, 2, 6, 3, 3)
    targets[:, 1] = (targets[:, 0] + 1) % 3  # no repeats: every recording fits
    targets[:, 2] = (targets[:, 1] + 1) % 3
    others = tf.constant(targets), tf.constant([6, 4]), tf.constant([3, 2])
    direction = np.random.default_rng(seed).normal(size=logits.shape) / 4
    step = 1e-2

    def total(sign: float) -> float:
        return float(tf.reduce_sum(ctc_loss(tf.constant(logits + sign * step * direction, tf.float32), *others)))

    variable = tf.Variable(logits, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(ctc_loss(variable, *others))
    along = float(np.sum(tape.gradient(loss, variable) * direction))
    assert along == pytest.approx((total(1.0) - total(-1.0)) / (2 * step), abs=2e-3)


def test_a_recording_does_not_depend_on_its_batch_or_padding(run):
    logits, targets = random_case(4, 3, 8, 4, 5)
    frames, labels = np.array([8, 6, 3], np.int32), np.array([4, 2, 1], np.int32)
    losses, (gradient,) = run(ctc_loss, [logits], targets, frames, labels)
    for b, (s, u) in enumerate(zip(frames, labels, strict=True)):
        shape = targets[b : b + 1, :u], frames[b : b + 1], labels[b : b + 1]
        alone, (of_one,) = run(ctc_loss, [logits[b : b + 1, :s]], *shape)
        np.testing.assert_allclose(losses[b], alone[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(gradient[b, :s], of_one[0], atol=1e-5)
        assert not gradient[b, s:].any()


@pytest.mark.parametrize("padding", [0.0, 80.0, -80.0])
def test_what_stands_in_padding_does_not_count(run, padding):
    logits, targets = random_case(5, 2, 5, 3, 4)
    frames, labels = np.array([5, 5], np.int32), np.array([2, 1], np.int32)
    losses, (gradient,) = run(ctc_loss, [logits], targets, frames, labels)
    wide = np.pad(logits, ((0, 0), (0, 3), (0, 0)), constant_values=padding)
    wide[:, 5:, 0] = -padding
    more = np.pad(targets, ((0, 0), (0, 2)), constant_values=3)
    more[1, 1:] = 0
    wide_losses, (wide_gradient,) = run(ctc_loss, [wide], more, frames, labels)
    np.testing.assert_allclose(wide_losses, losses, rtol=1e-5)
    np.testing.assert_allclose(wide_gradient[:, :5], gradient, atol=1e-5)
    assert not wide_gradient[:, 5:].any()


def test_prior_weighs_the_labels_in_time(run):
    """A prior that allows a label in one frame only leaves the paths that say it there."""
    logits = np.random.default_rng(6).normal(size=(1, 3, 3))
    log_probs = logits[0] - np.log(np.exp(logits[0]).sum(axis=1, keepdims=True))
    prior = np.full((1, 3, 1), -60.0)
    prior[0, 1] = 0.0

    def with_prior(*arguments):
        return ctc_loss(*arguments, prior=tf.constant(prior, tf.float32))

    shape = np.array([[0]], np.int32), np.array([3], np.int32), np.array([1], np.int32)
    losses, _ = run(with_prior, [logits], *shape)
    assert losses == pytest.approx([-(log_probs[0, 2] + log_probs[1, 0] + log_probs[2, 2])], abs=1e-5)


def test_posteriors_of_each_frame_sum_to_one():
    logits, targets = random_case(7, 2, 6, 3, 4)
    log_probs = tf.nn.log_softmax(tf.constant(logits, tf.float32))
    shape = tf.constant(targets), tf.constant([6, 4]), tf.constant([2, 1])
    _, posteriors, _ = ctc_posteriors(log_probs, *shape, tf.zeros((2, 6, 3)))
    np.testing.assert_allclose(np.sum(posteriors, axis=2), [[1.0] * 6, [1.0] * 4 + [0.0] * 2], atol=1e-5)


def test_progress_follows_the_only_alignment():
    """Three frames that can only be read as a, blank, b: one label, one and a half, two, of two."""
    logits = np.full((1, 3, 3), -50.0, np.float32)
    logits[0, [0, 1, 2], [0, 2, 1]] = 50.0
    _, progress = ctc_alignment(tf.constant(logits), np.array([[0, 1]], np.int32), np.array([3]), np.array([2]))
    np.testing.assert_allclose(np.asarray(progress), [[0.5, 0.75, 1.0]], atol=1e-4)


def test_labels_that_do_not_fit_are_spread_evenly():
    """Two frames have no room for three labels: they must not steer all wordpieces into the first block."""
    logits = tf.constant(np.random.default_rng(3).normal(size=(1, 4, 3)), tf.float32)
    losses, progress = ctc_alignment(logits, np.array([[0, 1, 0]], np.int32), np.array([2]), np.array([3]))
    assert np.asarray(losses).tolist() == [0.0]
    np.testing.assert_allclose(np.asarray(progress), [[0.5, 1.0, 1.0, 1.0]])
