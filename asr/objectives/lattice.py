"""The exact likelihood of labels given blocks: the sum over all alignments of labels to blocks.

p(y | x) = Σ over all ways to put U labels into N blocks (Jaitly et al. 2016, section 2.3), which is exact and cheap
when the predictor sees labels only. With L_n(u) = Σ_{j <= u} log p(y_j | n, j - 1), e_n(u) the log-probability of
entering block n with u labels emitted, and a_n(u) of leaving off inside it:

    a_n     = L_n + cumlogsumexp(e_n - L_n)
    e_{n+1} = a_n + log p(<e> | n, ·)
    loss    = -e_{N+1}(U)

The gradient is the posterior of each arc (forward times backward), computed here and not by differentiating the loops:
the loops then need no memory per step, and compile to one kernel.

Letters: B batch, N blocks, U labels.
"""

from typing import Any

from keras import ops

from asr.fused import fused
from asr.objectives.logspace import LOG_ZERO, cumulative_logsumexp, shifted, shifted_left


def _forward(label: Any, end: Any, valid: Any) -> tuple[Any, Any]:
    """Scans blocks forwards: label, end [N, B, U + 1], valid [N, B, 1] -> a_n of all blocks and e_{N+1} [B, U + 1]."""

    def block(entering: Any, arcs: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        label, end, valid = arcs
        total = ops.cumsum(shifted(label, 0.0), axis=-1)  # L_n
        inside = ops.where(valid, total + cumulative_logsumexp(entering - total), entering)  # a_n
        return inside + end, inside

    first = ops.concatenate([ops.zeros_like(label[0, :, :1]), ops.full_like(label[0, :, 1:], LOG_ZERO)], axis=-1)
    last, inside = ops.scan(block, first, (label, end, valid))
    return inside, last


def _backward(label: Any, end: Any, valid: Any, last: Any) -> tuple[Any, Any]:
    """Scans blocks backwards from `last` [B, U + 1]: log-probability of the rest, inside and on leaving a block."""

    def block(leaving: Any, arcs: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        label, end, valid = arcs
        total = ops.cumsum(shifted(label, 0.0), axis=-1)
        rest = ops.flip(cumulative_logsumexp(ops.flip(total + end + leaving, axis=-1)), axis=-1) - total
        inside = ops.where(valid, rest, leaving)
        return inside, inside

    _, inside = ops.scan(block, last, (label, end, valid), reverse=True)
    return inside, ops.concatenate([inside[1:], last[None]], axis=0)


@fused
def block_posteriors(label: Any, end: Any, blocks: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Forward and backward pass over the lattice.

    Args:
        label: [B, N, U + 1] float32, log p(y_{u+1} | n, u); the last column is not used.
        end: [B, N, U + 1] float32, log p(<e> | n, u).
        blocks: [B] int32, N of each recording, at least 1.
        labels: [B] int32, U of each recording.

    Returns:
        Negative log-likelihood [B]; posterior of each label arc and of each end-of-block arc, [B, N, U + 1] each.
    """
    count, width = label.shape[1], label.shape[2]
    u = ops.arange(width, dtype="int32")[None, :]
    valid = (ops.arange(count, dtype="int32")[None, :] < blocks[:, None])[:, :, None]  # [B, N, 1]
    emits = valid & (u < labels[:, None])[:, None]  # [B, N, U + 1]
    ends = valid & (u <= labels[:, None])[:, None]
    # Past a recording's last label the arcs out of the block are closed; its label arcs there are 0 and not log 0,
    # which would drown the cumulative sums. Past its last block every state passes through unchanged.
    label = ops.where(emits, label, 0.0)
    end = ops.where(ends, end, ops.where(valid, LOG_ZERO, 0.0))
    label_n, end_n, valid_n = (ops.transpose(x, (1, 0, 2)) for x in (label, end, valid))
    forward, final = _forward(label_n, end_n, valid_n)
    goal = ops.where(u == labels[:, None], 0.0, LOG_ZERO)  # [B, U + 1]
    backward, leaving = _backward(label_n, end_n, valid_n, goal)
    log_p = ops.logsumexp(final + goal, axis=-1)  # [B]
    of_label = forward + label_n + shifted_left(backward) - log_p[None, :, None]
    of_end = forward + end_n + leaving - log_p[None, :, None]
    of_label, of_end = (ops.transpose(ops.exp(ops.minimum(x, 0.0)), (1, 0, 2)) for x in (of_label, of_end))
    return -log_p, ops.where(emits, of_label, 0.0), ops.where(ends, of_end, 0.0)


def block_lattice_loss(
    label: Any, end: Any, blocks: Any, labels: Any, delay_penalty: float = 0.0, prior: Any = None
) -> Any:
    """Negative log-likelihood of the labels, summed over every alignment to blocks.

    Args:
        label: [B, N, U + 1] float32, log p(y_{u+1} | n, u); the last column is not used.
        end: [B, N, U + 1] float32, log p(<e> | n, u).
        blocks: [B] int32, N of each recording, at least 1.
        labels: [B] int32, U of each recording.
        delay_penalty: λ of FastEmit (Yu et al. 2021, 2010.11148, equation 11): label arcs' gradient times 1 + λ.
        prior: [B, N, U + 1] logarithm of a prior on the block of each label (`asr.objectives.prior`); None: none.

    Returns:
        [B] float32. Its value does not depend on `delay_penalty`, its gradient does.
    """
    shaped = label if prior is None else label + prior
    fixed = [ops.stop_gradient(x) for x in (shaped, end)]
    loss, of_label, of_end = (ops.stop_gradient(x) for x in block_posteriors(*fixed, blocks, labels))
    # Fisher's identity: d log p / d log arc is the arc's posterior, so this sum has the loss's gradient.
    said = ops.where(of_label > 0.0, (1.0 + delay_penalty) * of_label * label, 0.0)
    left = ops.where(of_end > 0.0, of_end * end, 0.0)
    linear = -ops.sum(said + left, axis=(1, 2))
    return loss + linear - ops.stop_gradient(linear)
