import numpy as np
import pytest
import tensorflow as tf

from asr.transducer.joint import MAX_BLOCK, BlockJoint


@pytest.fixture
def joint(tiny, randomised) -> BlockJoint:
    joint = BlockJoint(tiny)
    joint.build((None, None, tiny.dim))
    randomised(joint, 2)
    return joint


@pytest.fixture
def inputs(tiny) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    rng = np.random.default_rng(3)
    encoded = tf.constant(rng.normal(size=(2, 16, tiny.dim)), tf.float32)
    states = tf.constant(rng.normal(size=(2, 4, tiny.predictor_dim)), tf.float32)
    return encoded, states, tf.constant(rng.integers(0, tiny.vocabulary, (2, 3)), tf.int32)


@pytest.mark.parametrize("block", [1, 4, MAX_BLOCK])
def test_labels_and_end_of_block_share_the_probability(joint, inputs, tiny, block):
    encoded, states, labels = inputs
    total = 0.0
    for symbol in range(tiny.vocabulary):
        label, end = joint(encoded, states, tf.fill(labels.shape, symbol), block=block)
        total += np.exp(label)
    np.testing.assert_allclose((total + np.exp(end))[:, :, :-1], 1.0, atol=1e-5)


@pytest.mark.parametrize("block", [2, 4])
def test_streams_score_what_the_lattice_scores(joint, inputs, block):
    encoded, states, labels = inputs
    label, end = joint(encoded, states, labels, block=block)
    windows, mask = joint.blocks(joint.frames(encoded), block)
    for n in range(16 // block):
        exists = tf.repeat(mask[:, n], 2, axis=0)
        for u in range(3):
            logits, weights = joint.attend_stream(states[:, u], windows[:, n], exists)
            np.testing.assert_allclose(tf.math.log_sigmoid(logits[:, 0]), end[:, n, u], atol=1e-5)
            scores = tf.nn.log_softmax(logits[:, 1:]) + tf.math.log_sigmoid(-logits[:, :1])
            chosen = tf.gather(scores, labels[:, u], batch_dims=1)
            np.testing.assert_allclose(chosen, label[:, n, u], atol=1e-5)
            np.testing.assert_allclose(tf.reduce_sum(weights, axis=-1), 1.0, atol=1e-5)
            assert not np.any(np.asarray(weights)[:, :, ~np.asarray(exists[0])])


def test_listening_and_scoring_make_up_a_stream_s_logits(joint, inputs):
    encoded, states, _ = inputs
    windows, mask = joint.blocks(joint.frames(encoded), 4)
    window = windows[:, 1], tf.repeat(mask[:, 1], 2, axis=0)
    context, weights = joint.listen(states[:, 0], *window)
    logits, same_weights = joint.attend_stream(states[:, 0], *window)
    assert context.shape == (2, joint.joint_dim)
    np.testing.assert_array_equal(joint.score(states[:, 0], context), logits)
    np.testing.assert_array_equal(weights, same_weights)


@pytest.mark.parametrize("block", [2, 4, 8])
def test_windows_hold_the_block_and_what_is_before_it(joint, tiny, block):
    frames = tf.range(16.0)[None, :, None]
    windows, mask = joint.blocks(frames, block)
    for n in range(16 // block):
        found = windows[0, n, :, 0][mask[0, n]].numpy().tolist()
        first = max(0, n * block - tiny.lookback_frames)
        assert found == list(range(first, (n + 1) * block))


def test_a_block_hears_nothing_after_it_nor_before_its_window(joint, inputs, tiny):
    encoded, states, labels = inputs
    label, end = joint(encoded, states, labels, block=4)
    changed = tf.concat([encoded[:, :8], 5.0 - encoded[:, 8:]], axis=1)
    other_label, other_end = joint(changed, states, labels, block=4)
    np.testing.assert_array_equal(label[:, :2], other_label[:, :2])
    np.testing.assert_array_equal(end[:, :2], other_end[:, :2])
    assert (np.abs(end - other_end)[:, 2:].max(axis=2) > 1e-4).all()
    far = tf.concat([5.0 - encoded[:, :4], encoded[:, 4:]], axis=1)  # two blocks before the third
    assert tiny.lookback_frames == 4
    np.testing.assert_array_equal(joint(far, states, labels, block=4)[1][:, 2:], end[:, 2:])
