"""Context feedback: what training scores along an alignment is what decoding computes symbol by symbol."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from asr.decoding.greedy import decode_block, initial_state
from asr.objectives.viterbi import labels_before_end
from asr.transducer.feedback import aligned_log_probs
from asr.transducer.joint import BlockJoint
from asr.transducer.model import Transducer

BLOCK = 4


@pytest.fixture(scope="module")
def model(tiny, randomised) -> Transducer:
    model = Transducer(dataclasses.replace(tiny, context_feedback=True))
    for seed in range(3):  # far enough from zero for contexts to matter
        randomised(model.predictor, seed)
        randomised(model.joint, seed)
    return model


@pytest.fixture
def encoded(tiny) -> tf.Tensor:
    return tf.constant(np.random.default_rng(4).normal(size=(2, 12, tiny.dim)), tf.float32)


LABELS = tf.constant([[3, 3, 7, 1, 5], [9, 2, 0, 0, 0]])
COUNTS = tf.constant([5, 2])
CHOSEN = tf.constant([[0, 0, 1, 2, 2], [2, 2, 0, 0, 0]])


def scored(model: Transducer, encoded: tf.Tensor, *alignment: tf.Tensor, training: bool = False):
    labels, counts, chosen = alignment or (LABELS, COUNTS, CHOSEN)
    return aligned_log_probs(model.joint, model.predictor, encoded, labels, counts, chosen, BLOCK, training=training)


def walked(model: Transducer, encoded: tf.Tensor, row: int) -> tuple[list[float], list[float]]:
    """The same symbol by symbol, with what a stream uses."""
    joint, predictor = model.joint, model.predictor
    windows, mask = joint.blocks(joint.frames(encoded), BLOCK)
    state, u, of_labels, of_ends = predictor.initial_state(1), 0, [], []
    for n in range(12 // BLOCK):
        while True:
            context, _ = joint.listen(state, windows[row : row + 1, n], mask[:, n])
            logits = joint.score(state, context)
            if u == int(COUNTS[row]) or int(CHOSEN[row, u]) != n:
                of_ends.append(float(tf.math.log_sigmoid(logits[0, 0])))
                break
            label = LABELS[row, u]
            score = tf.nn.log_softmax(logits[0, 1:])[label] + tf.math.log_sigmoid(-logits[0, 0])
            of_labels.append(float(score))
            state, u = predictor.step(label[None], state, context), u + 1
    return of_labels, of_ends


def test_an_alignment_scores_what_its_symbols_score_one_by_one(model, encoded):
    label, end = scored(model, encoded)
    for row in range(2):
        of_labels, of_ends = walked(model, encoded, row)
        np.testing.assert_allclose(label[row, : len(of_labels)], of_labels, atol=1e-5)
        np.testing.assert_allclose(end[row], of_ends, atol=1e-5)


def test_training_scores_what_decoding_found(model, encoded):
    """Greedy decoding's labels, in the blocks where it said them, have the probabilities that it reported."""
    state, said = initial_state(model, 2), [[], []]
    frames, active = model.joint.frames(encoded), tf.constant([True, True])
    for n in range(12 // BLOCK):
        state, out = decode_block(model, frames[:, n * BLOCK : (n + 1) * BLOCK], state, active, 0.0)
        for row, (labels, scores) in enumerate(
            zip(*(np.asarray(out[k]) for k in ("labels", "log_probs")), strict=True)
        ):
            said[row] += [(n, int(v), float(p)) for v, p in zip(labels, scores, strict=True) if v >= 0]
    width = max(len(row) for row in said)
    assert width > 2
    padded = np.array([[(*s[:2],) for s in row] + [(0, 0)] * (width - len(row)) for row in said], np.int32)
    counts = tf.constant([len(row) for row in said])
    label, _ = scored(model, encoded, tf.constant(padded[:, :, 1]), counts, tf.constant(padded[:, :, 0]))
    for row in range(2):
        np.testing.assert_allclose(label[row, : len(said[row])], [s[2] for s in said[row]], atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True])
def test_graphs_give_what_eager_gives(model, encoded, compiled):
    weights = [model.predictor.feedback.value, model.joint.key_value.value, model.predictor.embedding.value]

    def compute(encoded: tf.Tensor):
        with tf.GradientTape() as tape:
            label, end = scored(model, encoded)
            total = tf.reduce_sum(end) + tf.reduce_sum(label[0]) + tf.reduce_sum(label[1, :2])
        return [label, end, *(tf.convert_to_tensor(g) for g in tape.gradient(total, weights))]

    expected = compute(encoded)
    found = tf.function(compute, jit_compile=compiled, autograph=False)(encoded)
    for ours, eager in zip(found, expected, strict=True):
        assert np.isfinite(ours).all() and np.any(ours)
        np.testing.assert_allclose(ours, eager, atol=1e-4)


def test_gradient_is_the_slope(model, encoded):
    """Back through the contexts: the slope along a random direction of the encoder's frames."""
    direction = tf.constant(np.random.default_rng(5).normal(size=encoded.shape), tf.float32)

    def total(encoded: tf.Tensor) -> tf.Tensor:
        label, end = scored(model, encoded)
        return tf.reduce_sum(label[0]) + tf.reduce_sum(label[1, :2]) + tf.reduce_sum(end)

    with tf.GradientTape() as tape:
        tape.watch(encoded)
        value = total(encoded)
    along = float(tf.reduce_sum(tape.gradient(value, encoded) * direction))
    step = 1e-2
    slope = float(total(encoded + step * direction) - total(encoded - step * direction)) / (2 * step)
    assert along == pytest.approx(slope, rel=1e-2, abs=1e-2)


def test_contexts_of_labels_before_are_heard(model, encoded):
    """A label's score depends on blocks before its window, but only through the contexts of labels said there."""
    changed = tf.concat([2.0 - encoded[:, :BLOCK], encoded[:, BLOCK:]], axis=1)
    before, after = scored(model, encoded)[0], scored(model, changed)[0]
    difference = np.abs(before - after)
    assert (difference[0, 3:] > 1e-6).all()  # block 2; labels 0 and 1 were said in block 0
    np.testing.assert_array_equal(difference[1, :2], 0.0)  # block 2; nothing was said in block 0


def test_padding_changes_nothing(model, encoded, tiny):
    label, end = scored(model, encoded)
    more = tf.concat([encoded, 7.0 * tf.ones((2, BLOCK, tiny.dim))], axis=1)
    padded = [tf.pad(x, [[0, 0], [0, 2]], constant_values=v) for x, v in ((LABELS, 4), (CHOSEN, 0))]
    wide_label, wide_end = scored(model, more, padded[0], COUNTS, padded[1])
    np.testing.assert_allclose(wide_label[0, :5], label[0], atol=1e-6)
    np.testing.assert_allclose(wide_label[1, :2], label[1, :2], atol=1e-6)
    np.testing.assert_allclose(wide_end[:, :3], end, atol=1e-6)


def test_a_recording_does_not_depend_on_its_batch(model, encoded):
    label, end = scored(model, encoded)
    for row in range(2):
        part = slice(row, row + 1)
        alone, alone_end = scored(model, encoded[part], LABELS[part], COUNTS[part], CHOSEN[part])
        np.testing.assert_allclose(alone, label[part], atol=1e-5)
        np.testing.assert_allclose(alone_end, end[part], atol=1e-5)


def test_without_weight_the_alignment_scores_as_in_the_lattice(model, tiny, randomised, encoded):
    plain = Transducer(dataclasses.replace(tiny, context_feedback=True))
    randomised(plain.joint, 6)
    assert isinstance(plain.joint, BlockJoint) and not np.any(plain.predictor.feedback)
    label, end = plain.joint(encoded, plain.predictor(LABELS), LABELS, block=BLOCK)  # [B, N, U + 1] each
    found, found_end = scored(plain, encoded)
    expected = tf.gather(tf.transpose(label[:, :, :-1], (0, 2, 1)), CHOSEN, batch_dims=2)
    np.testing.assert_allclose(found[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(found[1, :2], expected[1, :2], atol=1e-5)
    expected_end = tf.gather(end, labels_before_end(CHOSEN, COUNTS, 3), batch_dims=2)
    np.testing.assert_allclose(found_end, expected_end, atol=1e-5)
