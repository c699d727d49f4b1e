"""What a search hears of encoder frames: the joint's keys and values, and behind them what a CTC head says.

Letters: B streams, C encoder frames, D width, J joint width, V wordpieces, P phonemes.
"""

from enum import StrEnum
from typing import Any

from keras import ops

from asr.decoding.ctc import LEAST
from asr.transducer.model import Transducer


class Head(StrEnum):
    """A CTC head."""

    pieces = "pieces"
    phonemes = "phonemes"


def frames_of(model: Transducer, head: Head | None, lower: Any, upper: Any) -> Any:
    """What a search hears.

    Args:
        model: The transducer; with phonemes, if theirs is the head.
        head: Whose log-probabilities follow the keys and values; None: nothing follows.
        lower: [B, 2C, D] frames at 40 ms.
        upper: [B, C, D] frames at 80 ms.

    Returns:
        [B, C, 2J], with wordpieces [B, C, 2J + V + 1], with phonemes [B, C, 2J + 2 (P + 1)]: of two frames of 40 ms.
    """
    keys = model.joint.frames(upper)
    if head is None:
        return keys
    logits = model.pieces(upper) if head is Head.pieces else model.phoneme_logits(lower, upper)
    log_probs = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    if head is Head.pieces:
        log_probs = ops.maximum(log_probs, LEAST)
    else:
        log_probs = ops.reshape(log_probs, (-1, upper.shape[1], 2 * log_probs.shape[2]))
    return ops.concatenate([keys, log_probs], axis=-1)
