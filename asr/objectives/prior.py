"""A prior on when labels are said: how far the speech has got, against how far the labels have.

With the energy of the speech as a guess of how much has been said it starts the character head; with that head's own
alignment of the transcript as the measure it starts the wordpiece head and the transducer.

A new encoder's CTC and lattice posteriors spread every label over the whole recording, and a gradient averaged over
it says little: training stays on a plateau where only label frequencies are learnt. Acoustic models of old were started
from alignments of equal steps ("flat start"). This does the same softly: a label is expected where the share of speech
heard is about the share of labels said. It only shapes the posteriors, and is faded out.
"""

from typing import Any

from keras import ops

from asr.fused import fused

SPREAD_SHARE = 0.05  # of all labels: how far a guess from the speech's energy may be off
SPREAD_LABELS = 1.5  # and at least
ALIGNED_SPREAD_LABELS = 1.0  # where another head's alignment says how far the labels have got


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
    # Soft detection of speech: 0.3 deviations below the mean is as likely as not. Against forced alignments of 600
    # utterances this steepness and threshold leave the smallest error, 0.049 of the labels (root mean square).
    speech = ops.sigmoid(8.0 * ((energy - mean) / deviation + 0.3)) * valid
    return ops.cumsum(speech, axis=1) / ops.maximum(ops.sum(speech, axis=1, keepdims=True), 1e-6)


@fused
def label_prior(first: Any, last: Any, counts: Any, places: Any, share: Any, least: Any) -> Any:
    """Logarithm of an unnormalised prior of each label in each stretch of time.

    Args:
        first: [B, S] progress at the start of each stretch (a frame, a block).
        last: [B, S] at its end.
        counts: [B] int32, labels of each recording.
        places: [B, U] share of the transcript said at the middle of each label.
        share: Scalar, spread of the prior as a share of all labels.
        least: Scalar, spread at least, in labels.

    Returns:
        [B, S, U] float32, 0 where the label's share lies in the stretch, below 0 elsewhere.
    """
    total = ops.maximum(ops.cast(counts, "float32"), 1.0)[:, None, None]
    place = places[:, None, :] * total  # in labels
    early, late = first[:, :, None] * total - place, place - last[:, :, None] * total
    distance = ops.maximum(ops.maximum(early, late), 0.0)
    spread = ops.maximum(share * total, least)
    return -0.5 * ops.square(distance / spread)


def even_places(counts: Any, labels: int) -> Any:
    """Places of labels that all take the same share: [B] -> [B, labels]."""
    index = ops.arange(labels, dtype="float32")[None, :] + 0.5
    return index / ops.maximum(ops.cast(counts, "float32"), 1.0)[:, None]


def prior_over(progress: Any, stride: int, counts: Any, places: Any, share: float, least: float) -> Any:
    """`label_prior` over stretches of `stride` frames of the progress: [B, T] -> [B, T / stride, U]."""
    last = progress[:, stride - 1 :: stride]
    first = ops.concatenate([ops.zeros_like(last[:, :1]), last[:, :-1]], axis=1)
    spread = (ops.convert_to_tensor(x, "float32") for x in (share, least))
    return label_prior(first, last, counts, places, *spread)
