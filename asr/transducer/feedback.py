"""Scores along one alignment, for a predictor with context feedback.

The next state depends on the context with which a label was emitted, and so on its block (Jaitly et al. 2016,
1511.04868): states are computed label after label along the path. End-of-block does not move the predictor, so all
ends are scored at once from the states reached.

Letters: B batch, S encoder frames, N blocks, U labels, K frames attended to, D encoder, P predictor, J joint width.
"""

from typing import Any

from keras import ops

from asr.objectives.viterbi import labels_before_end
from asr.transducer.joint import BlockJoint
from asr.transducer.predictor import Predictor


def aligned_log_probs(
    joint: BlockJoint,
    predictor: Predictor,
    encoded: Any,
    labels: Any,
    counts: Any,
    chosen: Any,
    block: int,
    training: bool = False,
) -> tuple[Any, Any]:
    """Log-probabilities of the symbols of one alignment.

    Args:
        joint: The block joint.
        predictor: A predictor with context feedback.
        encoded: [B, S, D], S a multiple of `block`.
        labels: [B, U] int32.
        counts: [B] int32, valid labels of each recording.
        chosen: [B, U] int32, block of each label.
        block: W of the joint.
        training: Whether the predictor's dropout acts.

    Returns:
        Of each label in its block [B, U], and of end-of-block after each block's labels [B, N]; float32.
    """
    windows, mask = joint.blocks(ops.cast(joint.frames(encoded), "float32"), block)  # [B, N, K, 2J], [1, N, K]
    mask = ops.cast(mask, "float32")
    count, span = windows.shape[1], windows.shape[2]
    # Picked by products, whose gradients are products too: those of gathers are slow on accelerators.
    pick = ops.one_hot(chosen, count, dtype="float32")  # [B, U, N]
    flat = ops.reshape(windows, (-1, count, span * windows.shape[3]))
    heard = ops.reshape(ops.matmul(pick, flat), (-1, chosen.shape[1], *windows.shape[2:]))  # [B, U, K, 2J]
    states, contexts = _along(joint, predictor, labels, heard, ops.matmul(pick, mask) > 0.5, training)
    label, _ = joint.arcs(states[:, :-1], contexts[:, None], labels)

    reached = ops.one_hot(labels_before_end(chosen, counts, count), states.shape[1], dtype="float32")
    ending = ops.matmul(reached, states)  # [B, N, P]
    every = ops.reshape(ops.zeros_like(ending[:, :, :1]) + mask, (-1, span)) > 0.5  # [B x N, K]
    flat = ops.reshape(windows, (-1, *windows.shape[2:]))
    context, _ = joint.listen(ops.reshape(ending, (-1, predictor.dim)), flat, every)
    context = ops.reshape(context, (-1, 1, count, joint.joint_dim))
    _, end = joint.arcs(ending, context, ops.zeros(ending.shape[:2], "int32"))
    return label[:, 0], end[:, 0]


def _along(
    joint: BlockJoint, predictor: Predictor, labels: Any, heard: Any, mask: Any, training: bool
) -> tuple[Any, Any]:
    """Runs the predictor along the labels: states [B, U + 1, P] and contexts [B, U, J].

    `heard` [B, U, K, 2J] is the window of each label's block, `mask` [B, U, K] its frames that exist. Unrolled, so that
    its gradient compiles on every backend.
    """
    inputs = predictor.inputs(labels, training=training)  # [B, U + 1, 3P]
    state = predictor.advance(inputs[:, 0], ops.zeros_like(inputs[:, 0, : predictor.dim]))
    states, contexts = [state], []
    for u in range(labels.shape[1]):
        context, _ = joint.listen(state, heard[:, u], mask[:, u])
        state = predictor.advance(inputs[:, u + 1], state, context)
        states.append(state)
        contexts.append(context)
    return ops.stack(states, axis=1), ops.stack(contexts, axis=1)
