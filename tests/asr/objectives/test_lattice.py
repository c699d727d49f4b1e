import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.objectives.lattice import block_lattice_loss, block_posteriors

# warp-transducer's and NeMo's test cases; symbol 0 stands for end-of-block there.
SMALL = np.array(
    [
        [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.6, 0.1, 0.1], [0.1, 0.1, 0.2, 0.8, 0.1]],
        [[0.1, 0.6, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.1, 0.1], [0.7, 0.1, 0.2, 0.1, 0.1]],
    ]
)
_BIG = """
    0.065357 0.787530 0.081592 0.529716 0.750675 0.754135 0.609764 0.868140 0.622532
    0.668522 0.858039 0.164539 0.989780 0.944298 0.603168 0.946783 0.666203 0.286882
    0.094184 0.366674 0.736168 0.166680 0.714154 0.399400 0.535982 0.291821 0.612642
    0.324241 0.800764 0.524106 0.779195 0.183314 0.113745 0.240222 0.339470 0.134160
    0.505562 0.051597 0.640290 0.430733 0.829473 0.177467 0.320700 0.042883 0.302803
    0.675178 0.569537 0.558474 0.083132 0.060165 0.107958 0.748615 0.943918 0.486356
    0.418199 0.652408 0.024243 0.134582 0.366342 0.295830 0.923670 0.689929 0.741898
    0.250005 0.603430 0.987289 0.592606 0.884672 0.543450 0.660770 0.377128 0.358021
"""
BIG = np.array([float(x) for x in _BIG.split()]).reshape(2, 4, 3, 3)


def loss_of_logits(logits, targets, blocks, labels):
    """From joint logits [B, N, U + 1, V] whose symbol 0 is end-of-block, as the published cases have them."""
    log_probs = tf.nn.log_softmax(logits)
    following = tf.concat([targets, targets[:, :1]], axis=1)
    one_hot = tf.one_hot(following, logits.shape[-1])
    label = tf.reduce_sum(log_probs * one_hot[:, None], axis=-1)
    return block_lattice_loss(label, log_probs[..., 0], blocks, labels)


def enumerated(label: NDArray, end: NDArray) -> tuple[float, NDArray, NDArray]:
    """Loss and its gradients from every alignment one by one, float64: label, end [N, U + 1]."""
    count, width = label.shape
    scores, uses = [], []
    for places in itertools.combinations_with_replacement(range(count), width - 1):
        said = np.zeros((count, width))
        left = np.zeros((count, width))
        for u, n in enumerate(places):
            said[n, u] = 1
        for n in range(count):
            left[n, sum(p <= n for p in places)] = 1
        scores.append(float((said * label + left * end).sum()))
        uses.append((said, left))
    log_p = math.log(math.fsum(math.exp(s) for s in scores))
    shares = [math.exp(s - log_p) for s in scores]
    of_label = -sum(p * said for p, (said, _) in zip(shares, uses, strict=True))
    of_end = -sum(p * left for p, (_, left) in zip(shares, uses, strict=True))
    return -log_p, of_label, of_end


def random_arcs(seed: int, batch: int, count: int, width: int) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    return tuple(np.log(rng.uniform(0.02, 0.98, (batch, count, width))) for _ in range(2))


def test_small_published_case(run):
    targets, blocks, labels = np.array([[1, 2]], np.int32), np.array([2], np.int32), np.array([2], np.int32)
    losses, (gradient,) = run(loss_of_logits, [SMALL[None]], targets, blocks, labels)
    assert losses == pytest.approx([4.4956668], abs=1e-5)
    assert gradient[0, 0, 0] == pytest.approx([-0.1311669, -0.3999268] + 3 * [0.1770312], abs=1e-5)


def test_big_published_case(run):
    targets = np.array([[1, 2], [1, 1]], np.int32)
    blocks, labels = np.array([4, 4], np.int32), np.array([2, 2], np.int32)
    losses, (gradient,) = run(loss_of_logits, [BIG], targets, blocks, labels)
    assert losses == pytest.approx([4.28065286, 3.93843698], abs=1e-5)
    assert gradient[0, 0, 0] == pytest.approx([-0.186844, -0.062555, 0.249399], abs=1e-5)
    assert gradient[1, 3, 2] == pytest.approx([-0.598687, 0.302203, 0.296484], abs=1e-5)


def test_equal_scores_count_the_alignments(run):
    blocks, labels = np.array([3], np.int32), np.array([2], np.int32)
    targets = np.array([[1, 3]], np.int32)
    losses, _ = run(loss_of_logits, [np.zeros((1, 3, 3, 4))], targets, blocks, labels)
    assert losses == pytest.approx([(2 + 3) * math.log(4) - math.log(math.comb(2 + 3 - 1, 2))], abs=1e-5)


def test_ragged_case(run):
    random = np.random.RandomState(0)
    logits, targets = random.randn(3, 6, 5, 7), random.randint(1, 7, (3, 4)).astype(np.int32)
    blocks, labels = np.array([6, 4, 5], np.int32), np.array([4, 2, 0], np.int32)
    losses, (gradient,) = run(loss_of_logits, [logits], targets, blocks, labels)
    assert losses == pytest.approx([13.7182143, 8.84035755, 9.85575141], abs=1e-5)
    assert not gradient[1, 4:].any() and not gradient[1, :, 3:].any()
    assert not gradient[2, 5:].any() and not gradient[2, :, 1:].any()
    assert np.isfinite(gradient).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 4), width=st.integers(1, 5))
def test_every_alignment_counts_once(seed, count, width):
    label, end = random_arcs(seed, 1, count, width)
    arcs = [tf.Variable(x, dtype=tf.float32) for x in (label, end)]
    with tf.GradientTape() as tape:
        loss = block_lattice_loss(*arcs, tf.constant([count]), tf.constant([width - 1]))
    of_label, of_end = tape.gradient(loss, arcs)
    expected, of_label_expected, of_end_expected = enumerated(label[0], end[0])
    np.testing.assert_allclose(loss[0], expected, atol=1e-4)
    np.testing.assert_allclose(of_label[0], of_label_expected, atol=1e-4)
    np.testing.assert_allclose(of_end[0], of_end_expected, atol=1e-4)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31))
def test_gradient_is_the_slope(seed):
    arcs = random_arcs(seed, 2, 3, 4)
    blocks, labels = tf.constant([3, 2]), tf.constant([3, 1])
    rng = np.random.default_rng(seed)
    directions = [rng.normal(size=x.shape) / 4 for x in arcs]
    step = 1e-2

    def total(sign: float) -> float:
        moved = [tf.constant(x + sign * step * d, tf.float32) for x, d in zip(arcs, directions, strict=True)]
        return float(tf.reduce_sum(block_lattice_loss(*moved, blocks, labels)))

    variables = [tf.Variable(x, dtype=tf.float32) for x in arcs]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(block_lattice_loss(*variables, blocks, labels))
    gradients = tape.gradient(loss, variables)
    along = sum(float(np.sum(g * d)) for g, d in zip(gradients, directions, strict=True))
    assert along == pytest.approx((total(1.0) - total(-1.0)) / (2 * step), abs=2e-3)


def test_a_recording_does_not_depend_on_its_batch(run):
    label, end = random_arcs(3, 3, 4, 5)
    blocks, labels = np.array([4, 2, 3], np.int32), np.array([4, 3, 0], np.int32)
    losses, gradients = run(block_lattice_loss, [label, end], blocks, labels)
    for b in range(3):
        row = slice(b, b + 1)
        alone, of_one = run(block_lattice_loss, [label[row], end[row]], blocks[row], labels[row])
        np.testing.assert_allclose(losses[row], alone, atol=1e-5)
        for together, single in zip(gradients, of_one, strict=True):
            np.testing.assert_allclose(together[row], single, atol=1e-5)


@pytest.mark.parametrize("padding", [0.0, -50.0, math.nan])
def test_padding_changes_nothing(run, padding):
    label, end = random_arcs(4, 2, 3, 4)
    blocks, labels = np.array([3, 3], np.int32), np.array([3, 3], np.int32)
    losses, gradients = run(block_lattice_loss, [label, end], blocks, labels)
    padded = [np.pad(x, ((0, 0), (0, 2), (0, 3)), constant_values=padding) for x in (label, end)]
    padded[0][:, :, 3] = padding  # the column past the last label, not used
    padded_losses, padded_gradients = run(block_lattice_loss, padded, blocks, labels)
    np.testing.assert_allclose(padded_losses, losses, atol=1e-5)
    for wide, narrow in zip(padded_gradients, gradients, strict=True):
        np.testing.assert_allclose(wide[:, :3, :4], narrow, atol=1e-5)
        assert not wide[:, 3:].any() and not wide[:, :, 4:].any()


def test_delay_penalty_scales_label_gradients_only(run):
    label, end = random_arcs(5, 2, 3, 4)
    blocks, labels = np.array([3, 2], np.int32), np.array([3, 2], np.int32)

    def penalised(*arguments):
        return block_lattice_loss(*arguments, delay_penalty=0.25)

    losses, (of_label, of_end) = run(block_lattice_loss, [label, end], blocks, labels)
    same, (of_label_penalised, of_end_penalised) = run(penalised, [label, end], blocks, labels)
    np.testing.assert_allclose(same, losses, atol=1e-6)
    np.testing.assert_allclose(of_label_penalised, 1.25 * of_label, atol=1e-6)
    np.testing.assert_allclose(of_end_penalised, of_end, atol=1e-6)
    assert np.abs(of_label).max() > 0.1


def test_prior_shapes_the_lattice(run):
    label, end = random_arcs(6, 2, 3, 4)
    prior = np.random.default_rng(7).normal(size=label.shape)
    blocks, labels = np.array([3, 2], np.int32), np.array([3, 2], np.int32)

    def with_prior(*arguments):
        return block_lattice_loss(*arguments, prior=tf.constant(prior, tf.float32))

    shaped = run(block_lattice_loss, [label + prior, end], blocks, labels)
    found = run(with_prior, [label, end], blocks, labels)
    np.testing.assert_allclose(found[0], shaped[0], atol=1e-5)
    for ours, expected in zip(found[1], shaped[1], strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_posteriors_pass_each_label_and_each_block_once():
    label, end = random_arcs(8, 3, 5, 4)
    blocks, labels = np.array([5, 3, 1], np.int32), np.array([3, 0, 2], np.int32)
    arcs = [tf.constant(x, tf.float32) for x in (label, end)]
    _, of_label, of_end = block_posteriors(*arcs, tf.constant(blocks), tf.constant(labels))
    by_label, by_block = np.sum(of_label, axis=1), np.sum(of_end, axis=2)
    for b in range(3):
        np.testing.assert_allclose(by_label[b], np.arange(4) < labels[b], atol=1e-5)
        np.testing.assert_allclose(by_block[b], np.arange(5) < blocks[b], atol=1e-5)


def test_a_long_lattice_keeps_its_precision(run):
    """Half a minute and 120 labels, against the recursion in float64."""
    count, width = 48, 121
    rng = np.random.default_rng(9)
    label, end = -rng.uniform(0.0, 12.0, (1, count, width)), -rng.uniform(0.0, 12.0, (1, count, width))
    entering = np.where(np.arange(width) == 0, 0.0, -np.inf)
    for n in range(count):
        inside = entering.copy()
        for u in range(1, width):
            inside[u] = np.logaddexp(entering[u], inside[u - 1] + label[0, n, u - 1])
        entering = inside + end[0, n]
    blocks, labels = np.array([count], np.int32), np.array([width - 1], np.int32)
    losses, (of_label, _) = run(block_lattice_loss, [label, end], blocks, labels)
    assert losses[0] == pytest.approx(-entering[-1], rel=1e-5)
    np.testing.assert_allclose(of_label.sum(axis=(1, 2)), [-(width - 1)], rtol=1e-3)
