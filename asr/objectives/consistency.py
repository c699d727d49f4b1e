"""Consistency regularisation of CTC (CR-CTC; Yao et al. 2025, 2410.05101, section 3).

Two augmented copies of a recording should be heard alike: what one copy's masks hide the other teaches it, and neither
learns its recording by heart as fast.
"""

from typing import Any

from keras import ops

from asr.fused import fused


@fused
def pair_divergence(logits: Any, frames: Any) -> Any:
    """Kullback-Leibler divergence of each row's symbols from those of its partner, which has no gradient by it.

    Args:
        logits: [B, S, V + 1]; rows 2 k and 2 k + 1 are copies of one recording.
        frames: [B] int32, valid frames of each, the same in both copies.

    Returns:
        [B] float32, nats, summed over frames; half of a pair's sum is the paper's loss (equation 3).
    """
    log_probs = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
    rows, steps, symbols = log_probs.shape
    pairs = ops.reshape(log_probs, (rows // 2, 2, steps, symbols))
    other = ops.stop_gradient(ops.reshape(ops.flip(pairs, axis=1), (rows, steps, symbols)))
    divergence = ops.sum(ops.exp(other) * (other - log_probs), axis=-1)  # [B, S]
    valid = ops.arange(steps, dtype="int32")[None, :] < ops.cast(frames, "int32")[:, None]
    return ops.sum(ops.where(valid, divergence, 0.0), axis=1)
