"""Connectionist temporal classification (Graves et al. 2006), the same computation on every backend.

As in `lattice`, the gradient is the posterior of each symbol at each frame, from a forward and a backward scan
(equations 6 to 16 of the paper), so that nothing is stored per step and the scans compile to one kernel.

Letters: B batch, S frames, U labels, V symbols; the blank is symbol V, the last.
"""

from typing import Any

from keras import ops

from asr.fused import fused
from asr.objectives.logspace import LOG_ZERO, shifted, shifted_left


def _scan(emit: Any, skips: Any, valid: Any, first: Any, reverse: bool) -> Any:
    """Log-probability of reaching each state, before emitting there: [S, B, 2U + 1]."""
    move = shifted_left if reverse else shifted

    def frame(state: Any, now: tuple[Any, Any]) -> tuple[Any, Any]:
        emit, valid = now
        said = state + emit
        moved = move(said)
        jumped = ops.where(skips, move(moved), LOG_ZERO)
        after = ops.logaddexp(ops.logaddexp(said, moved), jumped)
        return ops.where(valid, after, state), state

    _, reached = ops.scan(frame, first, (emit, valid), reverse=reverse)
    return reached


@fused
def ctc_posteriors(log_probs: Any, targets: Any, frames: Any, labels: Any, prior: Any) -> tuple[Any, Any, Any]:
    """Forward and backward pass.

    Args:
        log_probs: [B, S, V + 1] float32, normalised, blank last.
        targets: [B, U] int32.
        frames: [B] int32, valid frames of each recording.
        labels: [B] int32, valid labels of each recording.
        prior: [B, S, U] float32, added to the log-probability of each label at each frame.

    Returns:
        Loss [B] (0 where the labels do not fit the frames), posteriors [B, S, V + 1], summing to one over symbols, and
        progress [B, S]: the expected share of the labels said at each frame, that being said included; where the
        labels do not fit, that of labels spread evenly.
    """
    symbols, count = log_probs.shape[2], log_probs.shape[1]
    width = 2 * targets.shape[1] + 1
    state = ops.arange(width, dtype="int32")
    symbol = _extended(targets, symbols - 1)  # [B, 2U + 1]
    one_hot = ops.one_hot(symbol, symbols, dtype="float32")  # [B, 2U + 1, V + 1]
    emit = ops.matmul(log_probs, ops.transpose(one_hot, (0, 2, 1)))  # [B, S, 2U + 1]
    between = ops.reshape(ops.stack([ops.zeros_like(prior), prior], axis=3), (prior.shape[0], count, width - 1))
    emit = emit + ops.concatenate([between, ops.zeros_like(emit[..., :1])], axis=-1)  # blanks have no prior
    emit = ops.transpose(emit, (1, 0, 2))
    valid = ops.transpose(ops.arange(count, dtype="int32")[None, :] < frames[:, None], (1, 0))[:, :, None]
    other = symbol != ops.concatenate([ops.full_like(symbol[:, :2], -1), symbol[:, :-2]], axis=1)
    label = (state % 2 == 1)[None]
    skips = label & other & (state >= 2)[None]
    start = ops.where(state[None] <= 1, 0.0, LOG_ZERO) + ops.zeros_like(emit[0])
    reached = _scan(emit, skips, valid, start, reverse=False)
    last = 2 * labels[:, None]
    goal = ops.where((state[None] == last) | (state[None] == last - 1), 0.0, LOG_ZERO)
    skips_back = ops.concatenate([skips[:, 2:], ops.zeros_like(skips[:, :2])], axis=1)
    rest = _scan(emit, skips_back, valid, goal, reverse=True)
    # At every valid frame, the paths through all states add up to the likelihood; the first frame stands for all.
    through = ops.where(valid, reached + emit + rest, LOG_ZERO)
    log_p = ops.logsumexp(through[0], axis=-1)  # [B]
    fits = log_p > LOG_ZERO / 2
    posterior = ops.exp(ops.minimum(through - ops.where(fits, log_p, 0.0)[None, :, None], 0.0))
    posterior = ops.where(valid & fits[None, :, None], posterior, 0.0)  # [S, B, 2U + 1]
    by_symbol = ops.matmul(ops.transpose(posterior, (1, 0, 2)), one_hot)
    # Labels said, [S, B]: u + 1 in label u, u + 1/2 before it.
    said = ops.sum(posterior * ops.cast(state + 1, "float32") / 2.0, axis=-1)
    progress = ops.minimum(said / ops.maximum(ops.cast(labels, "float32"), 1.0), 1.0)
    # What does not fit says nothing of where its labels are: evenly over the frames they steer others least.
    times = ops.cast(ops.arange(count, dtype="int32")[:, None] + 1, "float32")
    even = times / ops.maximum(ops.cast(frames, "float32"), 1.0)
    progress = ops.where(valid[:, :, 0], ops.where(fits, progress, even), 1.0)
    return ops.where(fits, -log_p, 0.0), by_symbol, ops.transpose(progress)


def _extended(targets: Any, blank: int) -> Any:
    """Blanks around every label: [B, U] -> [B, 2U + 1]."""
    blanks = ops.full_like(targets, blank)
    pairs = ops.reshape(ops.stack([blanks, targets], axis=2), (targets.shape[0], 2 * targets.shape[1]))
    return ops.pad(pairs, ((0, 0), (0, 1)), constant_values=blank)


@fused
def log_softmax(logits: Any) -> Any:
    """Log-probabilities in float32 of logits in any precision."""
    return ops.log_softmax(ops.cast(logits, "float32"), axis=-1)


def ctc_loss(logits: Any, targets: Any, frames: Any, labels: Any, prior: Any = None) -> Any:
    """Negative log-likelihood of the labels under CTC: the first result of `ctc_alignment`."""
    return ctc_alignment(logits, targets, frames, labels, prior)[0]


def ctc_alignment(logits: Any, targets: Any, frames: Any, labels: Any, prior: Any = None) -> tuple[Any, Any]:
    """Negative log-likelihood of the labels under CTC, and how far they have got at each frame.

    Args:
        logits: [B, S, V + 1], blank last.
        targets: [B, U] int32, padded with any symbol.
        frames: [B] int32, valid frames of each recording.
        labels: [B] int32, valid labels of each recording.
        prior: [B, S, U] logarithm of a prior on when each label is said (`asr.objectives.prior`); None: none.

    Returns:
        Loss [B] float32: 0, with no gradient, where the labels do not fit into the frames; and progress [B, S], the
        expected share of the labels said, which has no gradient.
    """
    log_probs = log_softmax(logits)
    if prior is None:
        prior = ops.zeros((*log_probs.shape[:2], targets.shape[1]), "float32")
    results = ctc_posteriors(ops.stop_gradient(log_probs), targets, frames, labels, prior)
    loss, posterior, progress = (ops.stop_gradient(x) for x in results)
    linear = -ops.sum(posterior * log_probs, axis=(1, 2))
    return loss + linear - ops.stop_gradient(linear), progress
