"""Scores along one alignment, for a predictor with context feedback.

The next state depends on the context with which a label was emitted, and so on its block (Jaitly et al. 2016,
1511.04868): states are computed label after label along the path. End-of-block does not move the predictor, so all
ends are scored at once from the states reached.

Letters: B batch, S encoder frames, N blocks, U labels, K frames attended to, D encoder, P predictor, J joint width.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from asr.attention.masking import MASKED
from asr.fused import fused
from asr.objectives.viterbi import labels_before_end
from asr.transducer.gru import gru_step
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

    `heard` [B, U, K, 2J] is the window of each label's block, `mask` [B, U, K] its frames that exist.
    """
    inputs = predictor.inputs(labels, training=training)  # [B, U + 1, 3P]
    first = predictor.advance(inputs[:, 0], ops.zeros_like(inputs[:, 0, : predictor.dim]))
    windows: tuple[Any, ...]
    if joint.attention == "multi_head":  # the whole step in one kernel
        weights = [joint.query * joint.head_dim**-0.5, predictor.recurrent, predictor.bias, predictor.feedback]
        weights = [ops.convert_to_tensor(w) for w in weights]
        windows = joint.keys_values(heard)
    else:
        windows = (heard,)

    def step(state: Any, label: Any) -> tuple[Any, Any]:
        if joint.attention == "multi_head":
            state, context = _emit(state, *label, *weights)
        else:
            x, window, exists = label
            context, _ = joint.listen(state, window, exists)
            state = predictor.advance(x, state, context)
        return state, ops.concatenate([state, context], axis=-1)

    by_label = (inputs[:, 1:], *windows, mask)
    scan = ops.scan if keras.backend.backend() == "jax" else _unrolled
    _, found = scan(step, first, tuple(ops.moveaxis(x, 1, 0) for x in by_label))
    states, contexts = ops.split(ops.moveaxis(found, 0, 1), [predictor.dim], axis=-1)
    return ops.concatenate([first[:, None], states], axis=1), contexts


def _unrolled(step: Callable[[Any, Any], tuple[Any, Any]], state: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any]:
    """`ops.scan`, unrolled: on TensorFlow the gradients of its loops do not compile."""
    found = []
    for now in zip(*(ops.unstack(x, axis=0) for x in inputs), strict=True):
        state, out = step(state, now)
        found.append(out)
    return state, ops.stack(found, axis=0)


@fused
def _emit(
    state: Any, x: Any, keys: Any, values: Any, mask: Any, query: Any, recurrent: Any, bias: Any, feedback: Any
) -> tuple[Any, Any]:
    """One label of every recording, as `BlockJoint.listen` and `Predictor.step`.

    Args:
        state: [B, P] before the label.
        x: [B, 3P] projected label.
        keys: [B, H, d, K].
        values: [B, H, K, d].
        mask: [B, K] bool.
        query: [P, J], scaled.
        recurrent: [P, 3P].
        bias: [3P].
        feedback: [J, 3P].

    Returns:
        The state after the label [B, P], and the context that it was emitted with [B, J].
    """
    heads, width = keys.shape[1:3]
    asked = ops.reshape(ops.matmul(state, query), (-1, heads, 1, width))
    scores = ops.where(mask[:, None, None], ops.matmul(asked, keys), MASKED)  # [B, H, 1, K]
    context = ops.matmul(ops.softmax(scores, axis=-1), values)
    context = ops.reshape(context, (-1, heads * width))
    return gru_step(x + ops.matmul(context, feedback), state, recurrent, bias), context
