"""A prior on when labels are said: how far the speech has got, against how far the labels have.

A new encoder's CTC and lattice posteriors spread every label over the whole recording, and a gradient averaged over
it says little: training stays on a plateau where only label frequencies are learnt. Acoustic models of old were started
from alignments of equal steps ("flat start"). This does the same softly: a label is expected where the share of speech
heard is about the share of labels said. It only shapes the posteriors, and is faded out.
"""

from typing import Any

from keras import ops

from asr.fused import fused

SPREAD_SHARE = 0.05  # of all labels: how far speech and labels may get apart
SPREAD_LABELS = 1.5  # at least


@fused
def speech_progress(frames: Any, lengths: Any) -> Any:
    """Share of a recording's speech heard up to each frame, so that pauses do not count.

    Args:
        frames: [B, T, 80] log-mel.
        lengths: [B] int32, valid frames.

    Returns:
        [B, T] float32, growing from 0 to 1.
    """
    valid = ops.cast(ops.arange(frames.shape[1], dtype="int32")[None, :] < lengths[:, None], "float32")
    energy = ops.mean(ops.cast(frames, "float32"), axis=-1)  # [B, T]
    count = ops.maximum(ops.sum(valid, axis=1, keepdims=True), 1.0)
    mean = ops.sum(energy * valid, axis=1, keepdims=True) / count
    deviation = ops.sqrt(ops.sum(ops.square(energy - mean) * valid, axis=1, keepdims=True) / count + 1e-6)
    speech = ops.sigmoid(4.0 * (energy - mean) / deviation + 2.0) * valid
    return ops.cumsum(speech, axis=1) / ops.maximum(ops.sum(speech, axis=1, keepdims=True), 1e-6)


@fused
def label_prior(first: Any, last: Any, counts: Any, index: Any) -> Any:
    """Logarithm of an unnormalised prior of each label in each stretch of time.

    Args:
        first: [B, S] speech progress at the start of each stretch (a frame, a block).
        last: [B, S] at its end.
        counts: [B] int32, labels of each recording.
        index: [U] int32, 0, 1, ….

    Returns:
        [B, S, U] float32, 0 where the label's share lies in the stretch, below 0 elsewhere.
    """
    total = ops.maximum(ops.cast(counts, "float32"), 1.0)[:, None, None]
    place = ops.cast(index, "float32")[None, None, :] + 0.5  # in labels
    early, late = first[:, :, None] * total - place, place - last[:, :, None] * total
    distance = ops.maximum(ops.maximum(early, late), 0.0)
    spread = ops.maximum(SPREAD_SHARE * total, SPREAD_LABELS)
    return -0.5 * ops.square(distance / spread)


def prior_over(progress: Any, stride: int, counts: Any, labels: int) -> Any:
    """`label_prior` over stretches of `stride` log-mel frames: progress [B, T] -> [B, T / stride, labels]."""
    last = progress[:, stride - 1 :: stride]
    first = ops.concatenate([ops.zeros_like(last[:, :1]), last[:, :-1]], axis=1)
    return label_prior(first, last, counts, ops.arange(labels, dtype="int32"))
