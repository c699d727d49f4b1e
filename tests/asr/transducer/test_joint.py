"""The block joint: windows by their formula, streams against the lattice, normalised probabilities."""

from collections.abc import Callable

import numpy as np
import pytest
from keras import ops

from asr.transducer.joint import BlockJoint

LOOKBACK, JOINT, PREDICTOR, VOCABULARY = 4, 32, 24, 11


@pytest.fixture
def joint(make_model: Callable) -> BlockJoint:
    return make_model(0).joint


def case(frames: int, states: int, batch: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Encoder frames [B, S, D] and predictor states [B, U + 1, P]."""
    rng = np.random.default_rng(frames)
    encoded = rng.normal(size=(batch, frames, 32)).astype(np.float32)
    return encoded, np.tanh(rng.normal(size=(batch, states, PREDICTOR))).astype(np.float32)


@pytest.mark.parametrize("block", [1, 2, 4, 8])
def test_windows_are_the_block_and_the_frames_before_it(block: int, joint: BlockJoint) -> None:
    frames = np.random.default_rng(0).normal(size=(2, 16, 64)).astype(np.float32)
    windows, mask = (np.asarray(x) for x in joint.blocks(ops.convert_to_tensor(frames), block))
    assert windows.shape == (2, 16 // block, LOOKBACK + block, 64)
    assert mask.shape == (1, 16 // block, LOOKBACK + block)
    for n in range(16 // block):
        for k in range(LOOKBACK + block):
            frame = n * block - LOOKBACK + k
            assert mask[0, n, k] == (frame >= 0)
            if frame >= 0:
                np.testing.assert_array_equal(windows[:, n, k], frames[:, frame])


@pytest.mark.parametrize("block", [2, 4, 8])
def test_streams_are_scored_as_the_lattice_is(block: int, joint: BlockJoint) -> None:
    encoded, states = case(16, 3)
    keys = joint.frames(ops.convert_to_tensor(encoded))
    windows, mask = joint.blocks(keys, block)
    contexts, weights = joint.attend(ops.convert_to_tensor(states), windows, mask)
    logits = np.asarray(joint.logits(ops.convert_to_tensor(states), contexts)) + np.asarray(joint.output_bias)
    for n in range(16 // block):
        for u in range(3):
            exists = ops.broadcast_to(mask[:, n], (2, LOOKBACK + block))
            result = joint.attend_stream(ops.convert_to_tensor(states[:, u]), windows[:, n], exists)
            np.testing.assert_allclose(np.asarray(result[0]), logits[:, n, u], atol=1e-4)
            np.testing.assert_allclose(np.asarray(result[1]), np.asarray(weights)[:, n, :, u], atol=1e-5)


def test_attention_gives_missing_frames_no_weight(joint: BlockJoint) -> None:
    encoded, states = case(8, 2)
    windows, mask = joint.blocks(joint.frames(ops.convert_to_tensor(encoded)), 4)
    _, weights = joint.attend(ops.convert_to_tensor(states), windows, mask)
    weights = np.asarray(weights)  # [B, N, H, U + 1, K]
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-5)
    assert np.all(weights[:, 0, :, :, :LOOKBACK] == 0.0)
    assert np.all(weights[:, 1] > 0.0)


@pytest.mark.parametrize("block", [2, 8])
def test_end_of_block_and_labels_sum_to_one(block: int, joint: BlockJoint) -> None:
    encoded, states = (ops.convert_to_tensor(x) for x in case(16, 4))
    arcs = [joint(encoded, states, ops.full((2, 3), v, "int32"), block=block) for v in range(VOCABULARY)]
    label = np.stack([np.asarray(arc[0])[..., :-1] for arc in arcs])  # [V, B, N, U]
    end = np.asarray(arcs[0][1])[..., :-1]
    np.testing.assert_allclose(np.exp(label).sum(0) + np.exp(end), 1.0, atol=1e-5)


def test_label_arcs_are_those_of_the_next_label(joint: BlockJoint) -> None:
    encoded, states = case(8, 4)
    labels = np.array([[3, 0, 10], [5, 5, 1]], np.int32)
    label, end = joint(
        ops.convert_to_tensor(encoded), ops.convert_to_tensor(states), ops.convert_to_tensor(labels), block=4
    )
    windows, mask = joint.blocks(joint.frames(ops.convert_to_tensor(encoded)), 4)
    for n in range(2):
        for u in range(4):
            exists = ops.broadcast_to(mask[:, n], (2, LOOKBACK + 4))
            logits = np.asarray(joint.attend_stream(ops.convert_to_tensor(states[:, u]), windows[:, n], exists)[0])
            stop = 1.0 / (1.0 + np.exp(-logits[:, 0]))
            np.testing.assert_allclose(np.asarray(end)[:, n, u], np.log(stop), atol=1e-4)
            if u < 3:
                share = np.exp(logits[:, 1:]) / np.exp(logits[:, 1:]).sum(-1, keepdims=True)
                expected = np.log((1 - stop) * share[np.arange(2), labels[:, u]])
                np.testing.assert_allclose(np.asarray(label)[:, n, u], expected, atol=1e-4)


def test_without_labels_blocks_can_only_end(joint: BlockJoint) -> None:
    encoded, states = (ops.convert_to_tensor(x) for x in case(16, 3))
    _, expected = joint(encoded, states, ops.zeros((2, 2), "int32"), block=4)
    label, end = joint(encoded, states[:, :1], ops.zeros((2, 0), "int32"), block=4)
    assert tuple(label.shape) == tuple(end.shape) == (2, 4, 1)
    np.testing.assert_allclose(np.asarray(end), np.asarray(expected)[..., :1], atol=1e-5)


def test_a_block_hears_nothing_after_it_nor_before_its_window(joint: BlockJoint) -> None:
    encoded, states = case(16, 3)
    labels = ops.zeros((2, 2), "int32")

    def arcs(encoded: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(x) for x in joint(encoded, ops.convert_to_tensor(states), labels, block=4)])

    changed = encoded.copy()
    changed[:, :4], changed[:, 12:] = 9.0, 9.0  # block 2 covers frames 8 to 11 and looks back to 4
    before, after = arcs(ops.convert_to_tensor(encoded)), arcs(ops.convert_to_tensor(changed))
    np.testing.assert_array_equal(after[:, :, 2], before[:, :, 2])
    assert all(np.abs(after - before)[:, :, n].max() > 1e-3 for n in (0, 1, 3))


def test_place_in_the_window_matters(joint: BlockJoint) -> None:
    encoded, states = case(8, 2)
    weights = []
    for order in (slice(None), slice(None, None, -1)):
        keys = joint.frames(ops.convert_to_tensor(encoded[:, order]))
        windows, mask = joint.blocks(keys, 8)
        weights.append(np.asarray(joint.attend(ops.convert_to_tensor(states), windows, mask)[1])[..., LOOKBACK:])
    assert np.abs(weights[0] - weights[1][..., ::-1]).max() > 1e-3


def test_what_is_expected_without_audio_is_the_label_distribution_of_no_context(joint: BlockJoint) -> None:
    _, states = case(8, 3)
    states = ops.convert_to_tensor(states)
    assert np.any(joint.output_bias)  # or it might be left out unseen
    found = np.asarray(joint.expected(states))
    logits = np.asarray(joint.logits(states, ops.zeros((2, 1, 3, JOINT))))[:, 0] + np.asarray(joint.output_bias)
    labels = np.exp(logits[..., 1:])
    np.testing.assert_allclose(np.exp(found), labels / labels.sum(-1, keepdims=True), atol=1e-5)
