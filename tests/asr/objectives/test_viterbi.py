import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.objectives.lattice import block_lattice_loss
from asr.objectives.viterbi import align, best_blocks, labels_before_end, path_loss, viterbi_loss


def random_arcs(seed: int, batch: int, count: int, width: int) -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(seed)
    return tuple(np.log(rng.uniform(0.02, 0.98, (batch, count, width))) for _ in range(2))


def score(label: NDArray, end: NDArray, places: tuple[int, ...]) -> float:
    """Log-probability of one alignment: label, end [N, U + 1] and the block of each label."""
    said = sum(label[n, u] for u, n in enumerate(places))
    return float(said + sum(end[n, sum(p <= n for p in places)] for n in range(len(end))))


def tensors(*values: object) -> list[tf.Tensor]:
    arrays = [np.asarray(v) for v in values]
    return [tf.constant(a.astype(np.float32 if a.dtype.kind == "f" else np.int32)) for a in arrays]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 5), width=st.integers(1, 5))
def test_the_best_of_all_alignments_is_found(seed, count, width):
    label, end = random_arcs(seed, 1, count, width)
    alignments = itertools.combinations_with_replacement(range(count), width - 1)
    best = max(alignments, key=lambda places: score(label[0], end[0], places))
    arguments = tensors(label, end, [count], [width - 1])
    found = np.asarray(best_blocks(*arguments))[0]
    # Two alignments may score the same to the last digit of float32.
    assert score(label[0], end[0], tuple(found)) == pytest.approx(score(label[0], end[0], best), abs=1e-5)
    assert float(viterbi_loss(*arguments)[0]) == pytest.approx(-score(label[0], end[0], best), abs=1e-4)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), blocks=st.integers(1, 6), labels=st.integers(0, 4))
def test_the_best_alignment_is_no_likelier_than_all_together(seed, blocks, labels):
    arguments = tensors(*random_arcs(seed, 1, 6, 5), [blocks], [labels])
    assert float(viterbi_loss(*arguments)[0]) >= float(block_lattice_loss(*arguments)[0]) - 1e-5


def test_one_block_leaves_no_choice(run):
    label, end = random_arcs(1, 1, 1, 4)
    shape = np.array([1], np.int32), np.array([3], np.int32)
    losses, gradients = run(viterbi_loss, [label, end], *shape)
    exact, exact_gradients = run(block_lattice_loss, [label, end], *shape)
    np.testing.assert_allclose(losses, exact, atol=1e-5)
    for ours, expected in zip(gradients, exact_gradients, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_loss_and_gradient_lie_on_the_path(run):
    """A lattice whose best path is drawn by hand: labels in blocks 0, 2, 2 of three."""
    label, end = np.full((1, 3, 4), -5.0), np.full((1, 3, 4), -5.0)
    said, left = [(0, 0), (2, 1), (2, 2)], [(0, 1), (1, 1), (2, 3)]
    for value, (n, u) in enumerate(said):
        label[0, n, u] = -0.1 * (value + 1)
    for value, (n, u) in enumerate(left):
        end[0, n, u] = -0.01 * (value + 1)
    arcs = [label, end]
    losses, (of_label, of_end) = run(viterbi_loss, arcs, np.array([3], np.int32), np.array([3], np.int32))
    assert losses == pytest.approx([0.66], abs=1e-6)
    assert {tuple(int(i) for i in at) for at in np.argwhere(of_label[0])} == set(said)
    assert {tuple(int(i) for i in at) for at in np.argwhere(of_end[0])} == set(left)
    assert set(of_label[of_label != 0]) == {-1.0} and set(of_end[of_end != 0]) == {-1.0}


def test_of_equal_alignments_labels_come_early():
    arguments = tensors(np.zeros((1, 3, 3)), np.zeros((1, 3, 3)), [3], [2])
    assert np.asarray(best_blocks(*arguments)).tolist() == [[0, 0]]


@pytest.mark.parametrize("padding", [0.0, 5.0, -50.0, math.nan])
def test_padding_changes_nothing(run, padding):
    label, end = random_arcs(2, 2, 3, 4)
    shape = np.array([3, 3], np.int32), np.array([3, 3], np.int32)
    losses, gradients = run(viterbi_loss, [label, end], *shape)
    padded = [np.pad(x, ((0, 0), (0, 2), (0, 3)), constant_values=padding) for x in (label, end)]
    padded[0][:, :, 3] = padding  # the column past the last label, not used
    padded_losses, padded_gradients = run(viterbi_loss, padded, *shape)
    np.testing.assert_allclose(padded_losses, losses, atol=1e-5)
    for wide, narrow in zip(padded_gradients, gradients, strict=True):
        np.testing.assert_array_equal(wide[:, :3, :4], narrow)
        assert not wide[:, 3:].any() and not wide[:, :, 4:].any()
    blocks = np.asarray(best_blocks(*tensors(*padded, *shape)))
    np.testing.assert_array_equal(blocks[:, :3], np.asarray(best_blocks(*tensors(label, end, *shape))))
    assert not blocks[:, 3:].any()


def test_a_recording_does_not_depend_on_its_batch(run):
    label, end = random_arcs(3, 3, 4, 5)
    blocks, labels = np.array([4, 2, 3], np.int32), np.array([4, 3, 0], np.int32)
    losses, gradients = run(viterbi_loss, [label, end], blocks, labels)
    for b in range(3):
        row = slice(b, b + 1)
        alone, of_one = run(viterbi_loss, [label[row], end[row]], blocks[row], labels[row])
        np.testing.assert_allclose(losses[row], alone, atol=1e-5)
        for together, single in zip(gradients, of_one, strict=True):
            np.testing.assert_array_equal(together[row], single)


def test_delay_penalty_scales_label_gradients_only(run):
    label, end = random_arcs(4, 2, 3, 4)
    shape = np.array([3, 2], np.int32), np.array([3, 2], np.int32)

    def penalised(*arguments):
        return viterbi_loss(*arguments, delay_penalty=0.25)

    losses, (of_label, of_end) = run(viterbi_loss, [label, end], *shape)
    same, (of_label_penalised, of_end_penalised) = run(penalised, [label, end], *shape)
    np.testing.assert_allclose(same, losses, atol=1e-6)
    np.testing.assert_allclose(of_label_penalised, 1.25 * of_label, atol=1e-6)
    np.testing.assert_array_equal(of_end_penalised, of_end)
    assert of_label.min() == -1.0


def test_prior_moves_the_alignment_and_not_the_scores():
    label, end, blocks, labels = tensors(np.zeros((1, 3, 3)), np.full((1, 3, 3), -1.0), [3], [2])
    prior = tf.constant([[[-9.0, -9.0, 0.0], [0.0, -9.0, 0.0], [-9.0, 0.0, 0.0]]])
    assert np.asarray(align(label, end, blocks, labels, prior)).tolist() == [[1, 2]]
    assert np.asarray(viterbi_loss(label, end, blocks, labels, prior=prior)) == pytest.approx([3.0])


def test_labels_before_each_end():
    chosen, labels = tensors([[0, 2, 2, 0], [1, 0, 0, 0]], [3, 1])
    assert np.asarray(labels_before_end(chosen, labels, 4)).tolist() == [[1, 1, 3, 3], [0, 1, 1, 1]]


def test_path_loss_leaves_padding_out(run):
    label, end = np.array([[-1.0, -2.0, math.nan]]), np.array([[-0.5, math.nan]])
    losses, gradients = run(path_loss, [label, end], np.array([1], np.int32), np.array([2], np.int32))
    assert losses == pytest.approx([3.5])
    assert [g.tolist() for g in gradients] == [[[-1.0, -1.0, 0.0]], [[-1.0, 0.0]]]
