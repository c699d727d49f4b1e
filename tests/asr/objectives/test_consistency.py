"""Two augmented copies of a recording should be heard alike."""

import numpy as np

from asr.objectives.consistency import pair_divergence
from tests.asr.objectives.conftest import Runner


def normalised(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))


def test_divergence_is_that_of_the_definition(run: Runner) -> None:
    """Kullback-Leibler, frame by frame, and only of valid ones."""
    logits = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    frames = np.array([5, 5, 2, 2], np.int32)
    log_probs = normalised(logits)
    expected = []
    for row, count in enumerate(frames):
        own, other = log_probs[row, :count], log_probs[row ^ 1, :count]
        expected.append(float(np.sum(np.exp(other) * (other - own))))
    losses, _ = run(pair_divergence, [logits], frames)
    np.testing.assert_allclose(losses, expected, rtol=1e-4)
    assert min(expected) > 0.1


def test_the_gradient_is_by_the_rows_own_symbols_alone(run: Runner) -> None:
    """That of a cross-entropy with the partner's symbols: softmax less them."""
    logits = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    frames = np.array([3, 2], np.int32)
    _, (gradient,) = run(pair_divergence, [logits], frames)
    probabilities = np.exp(normalised(logits))
    expected = probabilities - probabilities[::-1]
    expected[1, 2:] = 0.0
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_copies_that_are_heard_alike_do_not_diverge(run: Runner) -> None:
    logits = np.repeat(np.random.default_rng(2).normal(size=(2, 4, 3)).astype(np.float32), 2, axis=0)
    losses, (gradient,) = run(pair_divergence, [logits], np.array([4, 4, 3, 3], np.int32))
    np.testing.assert_allclose(losses, 0.0, atol=1e-6)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)
