"""CTC-CRF against every path one by one, its slope, and a sum in double precision."""

import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.objectives.crf import crf_losses, denominator
from asr.objectives.ctc import ctc_loss
from tests.asr.objectives.conftest import Runner


def random_case(seed: int, batch: int, frames: int, labels: int, symbols: int) -> tuple[NDArray, NDArray, NDArray]:
    """Logits, targets and a bigram."""
    rng = np.random.default_rng(seed)
    bigram = rng.dirichlet(np.ones(symbols), symbols).astype(np.float32)
    targets = rng.integers(0, symbols, (batch, labels)).astype(np.int32)
    return rng.normal(size=(batch, frames, symbols + 1)) * 2, targets, bigram


def log_softmax(logits: NDArray) -> NDArray:
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


def enumerated(logits: NDArray, bigram: NDArray) -> dict[tuple[int, ...], float]:
    """Weight of every label sequence from all of its paths: logits [S, P + 1]."""
    log_probs, symbols = log_softmax(logits), logits.shape[1] - 1
    weights: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(symbols + 1), repeat=len(logits)):
        said = tuple(s for s, _ in itertools.groupby(path) if s != symbols)
        prior = math.prod([1 / symbols if said else 1.0, *(float(bigram[pair]) for pair in itertools.pairwise(said))])
        weights[said] = weights.get(said, 0.0) + prior * math.exp(sum(log_probs[i, s] for i, s in enumerate(path)))
    return weights


def crf(logits, targets, frames, labels, bigram):
    return crf_losses(logits, targets, frames, labels, bigram)[1]


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), frames=st.integers(0, 4), labels=st.integers(0, 3))
def test_the_loss_is_the_log_posterior_among_all_labels(seed: int, frames: int, labels: int) -> None:
    """Of three phonemes in up to four of five frames; what does not fit costs nothing."""
    logits, targets, bigram = random_case(seed, 1, 5, 3, 3)
    said = tuple(int(t) for t in targets[0, :labels])
    variable = tf.Variable(logits, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = crf(variable, tf.constant(targets), tf.constant([frames]), tf.constant([labels]), bigram)
    gradient = np.array(tape.gradient(loss, variable))[0]
    if labels + sum(a == b for a, b in itertools.pairwise(said)) > frames:
        assert float(loss[0]) == 0.0 and not gradient.any()
        return
    weights = enumerated(logits[0, :frames], bigram)
    assert float(loss[0]) == pytest.approx(math.log(sum(weights.values()) / weights[said]), abs=1e-4)
    assert not gradient[frames:].any()


def test_rows_of_other_lengths_and_repeats(run: Runner) -> None:
    logits, targets, bigram = random_case(1, 4, 5, 3, 3)
    targets[:] = [[1, 1, 0], [2, 0, 0], [0, 1, 2], [2, 2, 2]]
    frames, labels = np.array([5, 3, 4, 4], np.int32), np.array([3, 1, 0, 3], np.int32)
    losses, (gradient,) = run(crf, [logits], targets, frames, labels, bigram)
    for row in range(3):
        weights = enumerated(logits[row, : frames[row]], bigram)
        expected = math.log(sum(weights.values()) / weights[tuple(targets[row, : labels[row]])])
        assert losses[row] == pytest.approx(expected, abs=1e-4)
        assert gradient[row, : frames[row]].any() and not gradient[row, frames[row] :].any()
    assert losses[3] == 0.0 and not gradient[3].any()  # three equal labels in four frames


def test_one_label_or_none_in_all(run: Runner) -> None:
    """Widths of which no pair of labels can be taken."""
    logits, targets, bigram = random_case(2, 1, 3, 1, 2)
    frames = np.array([3], np.int32)
    weights = enumerated(logits[0], bigram)
    for width in (0, 1):
        losses, _ = run(crf, [logits], targets[:, :width], frames, np.array([width], np.int32), bigram)
        said = tuple(targets[0, :width])
        assert losses == pytest.approx([math.log(sum(weights.values()) / weights[said])], abs=1e-4)


def test_the_ctc_part_is_that_of_ctc(run: Runner) -> None:
    logits, targets, bigram = random_case(3, 3, 9, 4, 6)
    others = targets, np.array([9, 5, 2], np.int32), np.array([4, 2, 4], np.int32)
    losses, (gradient,) = run(lambda *arguments: crf_losses(*arguments)[0], [logits], *others, bigram)
    expected, (slope,) = run(ctc_loss, [logits], *others)
    np.testing.assert_allclose(losses, expected)
    np.testing.assert_allclose(gradient, slope)


def in_double_precision(log_probs: NDArray, bigram: NDArray) -> float:
    """Logarithm of the sum over every path, in log space: log_probs [S, P + 1]."""
    symbols = len(bigram)
    follows = np.log(np.concatenate([bigram, np.full((1, symbols), 1 / symbols)]).astype(np.float64))
    label, blank = np.full(symbols, -np.inf), np.append(np.full(symbols, -np.inf), 0.0)
    for now in log_probs.astype(np.float64):
        history = np.logaddexp(np.append(label, -np.inf), blank)
        arrive = np.tile(history[:, None], (1, symbols))
        arrive[range(symbols), range(symbols)] = blank[:-1]  # the label again only after a blank
        label, blank = np.logaddexp(np.logaddexp.reduce(arrive + follows), label) + now[:-1], history + now[-1]
    return float(np.logaddexp(np.logaddexp.reduce(label), np.logaddexp.reduce(blank)))


@pytest.mark.parametrize("run", ["compiled"], indirect=True)
@pytest.mark.parametrize("scale", [0.1, 2.0, 20.0])
def test_long_recordings_lose_no_precision(run: Runner, scale: float) -> None:
    """16 s of a head that is sure of nothing, of much, and of all that it says."""
    logits, targets, bigram = random_case(4, 2, 416, 150, 41)
    logits *= scale / 2
    frames, labels = np.array([416, 300], np.int32), np.array([150, 20], np.int32)
    log_probs = log_softmax(logits)
    sums, _ = tf.function(denominator, jit_compile=True, autograph=False)(log_probs.astype(np.float32), frames, bigram)
    expected = [in_double_precision(x[:n], bigram) for x, n in zip(log_probs, frames, strict=True)]
    np.testing.assert_allclose(sums, expected, rtol=1e-4, atol=1e-2)
    losses, (gradient,) = run(crf, [logits], targets, frames, labels, bigram)
    assert np.isfinite(gradient).all() and (losses > 0.0).all()
    assert np.abs(gradient.sum(axis=-1)).max() < 1e-4  # posteriors sum to one


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_gradient_is_the_slope(seed: int) -> None:
    logits, targets, bigram = random_case(seed, 2, 8, 3, 4)
    others = tf.constant(targets), tf.constant([8, 6]), tf.constant([3, 2]), tf.constant(bigram)
    direction = np.random.default_rng(seed).normal(size=logits.shape) / 4
    step = 1e-2

    def total(sign: float) -> float:
        return float(tf.reduce_sum(crf(tf.constant(logits + sign * step * direction, tf.float32), *others)))

    variable = tf.Variable(logits, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(crf(variable, *others))
    along = float(np.sum(tape.gradient(loss, variable) * direction))
    assert along == pytest.approx((total(1.0) - total(-1.0)) / (2 * step), abs=2e-3)


@pytest.mark.parametrize("padding", [0.0, 80.0, -80.0])
def test_what_stands_in_padding_does_not_count(run: Runner, padding: float) -> None:
    logits, targets, bigram = random_case(5, 2, 6, 3, 4)
    frames, labels = np.array([6, 5], np.int32), np.array([2, 1], np.int32)
    losses, (gradient,) = run(crf, [logits], targets, frames, labels, bigram)
    wide = np.pad(logits, ((0, 0), (0, 3), (0, 0)), constant_values=padding)
    wide[:, 6:, 0] = -padding
    more = np.pad(targets, ((0, 0), (0, 2)), constant_values=3)
    more[1, 1:] = 0
    wide_losses, (wide_gradient,) = run(crf, [wide], more, frames, labels, bigram)
    np.testing.assert_allclose(wide_losses, losses, rtol=1e-5)
    np.testing.assert_allclose(wide_gradient[:, :6], gradient, atol=1e-5)
    assert not wide_gradient[:, 6:].any()
