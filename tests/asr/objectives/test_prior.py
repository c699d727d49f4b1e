"""The prior on when labels are said."""

import numpy as np
import pytest
from keras import ops

from asr.objectives.ctc import ctc_loss
from asr.objectives.prior import SPREAD_LABELS, SPREAD_SHARE, even_places, label_prior, prior_over, speech_progress


def _recording(loud: list[int], frames: int) -> np.ndarray:
    """Log-mel of silence with speech in the given frames, [1, frames, 80]."""
    x = np.full((1, frames, 80), -13.8, np.float32)
    x[:, loud] = -4.0
    return x


def test_progress_counts_speech_and_not_pauses() -> None:
    speech = [*range(20, 40), *range(80, 100)]
    progress = np.asarray(speech_progress(_recording(speech, 120), np.array([120], np.int32)))[0]
    assert progress[19] < 0.05
    assert progress[39] == pytest.approx(0.5, abs=0.05)
    assert progress[79] == pytest.approx(0.5, abs=0.05)  # the pause between is not progress
    assert progress[-1] == pytest.approx(1.0, abs=1e-5)
    assert (np.diff(progress) >= 0).all()


def test_progress_ignores_padding() -> None:
    speech = list(range(10, 30))
    short = np.asarray(speech_progress(_recording(speech, 40), np.array([40], np.int32)))[0]
    padded = np.concatenate([_recording(speech, 40), np.full((1, 24, 80), 3.0, np.float32)], axis=1)
    long = np.asarray(speech_progress(padded, np.array([40], np.int32)))[0]
    np.testing.assert_allclose(long[:40], short, atol=1e-6)
    np.testing.assert_allclose(long[40:], 1.0, atol=1e-6)


def test_prior_is_the_written_formula() -> None:
    rng = np.random.default_rng(0)
    edges = np.sort(rng.random((2, 9)), axis=1).astype(np.float32)
    counts = np.array([5, 40], np.int32)
    spread = np.float32(SPREAD_SHARE), np.float32(SPREAD_LABELS)
    got = np.asarray(label_prior(edges[:, :-1], edges[:, 1:], counts, even_places(counts, 6), *spread))
    for b, count in enumerate(counts):
        spread = max(SPREAD_SHARE * count, SPREAD_LABELS)
        for s in range(8):
            low, high = edges[b, s] * count, edges[b, s + 1] * count
            for u in range(6):
                distance = max(low - (u + 0.5), (u + 0.5) - high, 0.0)
                assert got[b, s, u] == pytest.approx(-0.5 * (distance / spread) ** 2, rel=1e-4, abs=1e-5)


def test_prior_moves_ctc_posteriors_to_the_expected_time() -> None:
    """With logits that say nothing, the gradient asks for each label where the prior expects it."""
    import tensorflow as tf

    frames, labels = 40, 4
    progress = np.linspace(1 / frames, 1, frames, dtype=np.float32)[None]
    counts = np.array([labels], np.int32)
    places = even_places(counts, labels)
    prior = prior_over(ops.convert_to_tensor(progress), 1, counts, places, SPREAD_SHARE, SPREAD_LABELS) * 10.0
    logits = tf.Variable(tf.zeros((1, frames, 5)))
    targets, lengths = np.array([[0, 1, 2, 3]], np.int32), (np.array([frames], np.int32), np.array([labels], np.int32))
    with tf.GradientTape() as tape:
        loss = ctc_loss(logits, targets, *lengths, prior)
    wanted = -np.asarray(tape.gradient(loss, logits))[0]
    centres = [float(np.average(np.arange(frames), weights=np.maximum(wanted[:, u], 0))) for u in range(labels)]
    np.testing.assert_allclose(centres, [5, 15, 25, 35], atol=4)


def test_zero_prior_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2, 12, 6)).astype(np.float32)
    targets, frames, labels = np.array([[0, 1, 1], [4, 0, 0]], np.int32), np.array([12, 9], np.int32), np.array([3, 1])
    plain = ctc_loss(logits, targets, frames, labels.astype(np.int32))
    zero = ctc_loss(logits, targets, frames, labels.astype(np.int32), ops.zeros((2, 12, 3)))
    np.testing.assert_allclose(np.asarray(plain), np.asarray(zero), rtol=1e-6)
