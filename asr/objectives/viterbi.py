"""Cross-entropy along the best alignment of labels to blocks.

The alignment is found by dynamic programming over (block, labels emitted): the lattice of `lattice` with max in place
of sum. With L_n(u) the sum of block n's first u label arcs, and e_n(u) the best log-probability of entering block n
with u labels emitted:

    a_n(u)     = L_n(u) + max_{j <= u} (e_n(j) - L_n(j)), reached from j = o_n(u)
    e_{n+1}(u) = a_n(u) + log p(<e> | n, u)

and followed back from (N, U). How it differs from Jaitly et al. 2016 (1511.04868): there each cell of the programme
carries the recurrent state of the best path into it, context feedback included, so the programme is approximate and
runs the network cell by cell. Here the scores of all cells come from one pass without context feedback (the context is
zero), for which the programme is exact; and the alignment is made anew for every batch, by the weights of that step.

Letters: B batch, N blocks, U labels.
"""

from typing import Any

from keras import ops

from asr.fused import fused
from asr.objectives.logspace import LOG_ZERO, shifted


def _running_best(x: Any) -> tuple[Any, Any]:
    """Largest x[j], j <= u, and the last such j, along the last axis; by doubling, as `cumulative_logsumexp`."""
    reach, width = 1, x.shape[-1]
    index = ops.arange(width, dtype="int32") + ops.zeros_like(x, dtype="int32")
    while reach < width:
        before = ops.concatenate([ops.full_like(x[..., :reach], LOG_ZERO), x[..., :-reach]], axis=-1)
        place = ops.concatenate([ops.zeros_like(index[..., :reach]), index[..., :-reach]], axis=-1)
        better = before > x
        x, index = ops.where(better, before, x), ops.where(better, place, index)
        reach *= 2
    return x, index


@fused
def best_blocks(label: Any, end: Any, blocks: Any, labels: Any) -> Any:
    """The most likely alignment.

    Args:
        label: [B, N, U + 1] float32, log p(y_{u+1} | n, u); the last column is not used.
        end: [B, N, U + 1] float32, log p(<e> | n, u).
        blocks: [B] int32, N of each recording, at least 1.
        labels: [B] int32, U of each recording.

    Returns:
        [B, U] int32, the block of each label, not decreasing; 0 past a recording's last label. Of equally likely
        alignments, one whose labels come early.
    """
    count, width = label.shape[1], label.shape[2]
    u = ops.arange(width, dtype="int32")[None, :]
    valid = (ops.arange(count, dtype="int32")[None, :] < blocks[:, None])[:, :, None]  # [B, N, 1]
    # As in `block_posteriors`: label arcs past the last label are 0, not log 0, to keep the cumulative sums exact; the
    # states behind them cannot be on the path, which is followed back from the last label.
    label = ops.where(valid & (u < labels[:, None])[:, None], label, 0.0)
    by_block = [ops.transpose(x, (1, 0, 2)) for x in (label, ops.where(valid, end, 0.0), valid)]
    first = ops.where(u == 0, 0.0, LOG_ZERO) + ops.zeros_like(label[:, 0])

    def forward(entering: Any, arcs: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        label, end, valid = arcs
        total = ops.cumsum(shifted(label, 0.0), axis=-1)  # L_n
        best, origin = _running_best(entering - total)
        # Keras scans on TensorFlow stack results in the dtype of their state: counts are float32 there.
        origin = ops.cast(ops.where(valid, origin, u), "float32")
        return ops.where(valid, total + best + end, entering), origin

    def back(leaving: Any, origin: Any) -> tuple[Any, Any]:
        return ops.sum(ops.where(place == leaving[:, None], origin, 0.0), axis=-1), leaving

    place = ops.cast(u, "float32")
    _, origins = ops.scan(forward, first, tuple(by_block))  # [N, B, U + 1]
    _, leaving = ops.scan(back, ops.cast(labels, "float32"), origins, reverse=True)  # [N, B], labels said by the end
    chosen = ops.sum(ops.cast(leaving[:, :, None] <= place[:, :-1], "int32"), axis=0)
    return ops.where(u[:, :-1] < labels[:, None], chosen, 0)


def align(label: Any, end: Any, blocks: Any, labels: Any, prior: Any = None) -> Any:
    """`best_blocks` as a constant of the gradient, optionally with the prior of `block_lattice_loss`: [B, U] int32."""
    shaped = label if prior is None else label + prior
    return ops.stop_gradient(best_blocks(ops.stop_gradient(shaped), ops.stop_gradient(end), blocks, labels))


def labels_before_end(chosen: Any, labels: Any, count: int) -> Any:
    """Labels emitted when each block is left: [B, U] blocks of labels, [B] labels -> [B, N] int32, N = `count`."""
    exists = ops.arange(chosen.shape[1], dtype="int32")[None, :] < labels[:, None]  # [B, U]
    block = ops.arange(count, dtype="int32")[None, :, None]
    return ops.sum(ops.cast(exists[:, None] & (chosen[:, None] <= block), "int32"), axis=-1)


def path_loss(label: Any, end: Any, blocks: Any, labels: Any, delay_penalty: float = 0.0) -> Any:
    """Cross-entropy of the labels and of one end-of-block per block.

    Args:
        label: [B, U] float32, log-probability of each label in its block.
        end: [B, N] float32, log-probability of end-of-block after each block's labels.
        blocks: [B] int32, N of each recording.
        labels: [B] int32, U of each recording.
        delay_penalty: λ of FastEmit (see `block_lattice_loss`): labels' gradient times 1 + λ.

    Returns:
        [B] float32. Its value does not depend on `delay_penalty`, its gradient does.
    """
    said = ops.arange(label.shape[1], dtype="int32")[None, :] < labels[:, None]
    left = ops.arange(end.shape[1], dtype="int32")[None, :] < blocks[:, None]
    of_labels = -ops.sum(ops.where(said, label, 0.0), axis=1)
    of_ends = -ops.sum(ops.where(left, end, 0.0), axis=1)
    return of_labels + of_ends + delay_penalty * (of_labels - ops.stop_gradient(of_labels))


def viterbi_loss(label: Any, end: Any, blocks: Any, labels: Any, delay_penalty: float = 0.0, prior: Any = None) -> Any:
    """Negative log-likelihood of the labels on their best alignment; arguments as `block_lattice_loss`.

    The alignment is a constant of the gradient, and only it depends on `prior`.

    Returns:
        [B] float32, at least `block_lattice_loss` without a prior.
    """
    chosen = align(label, end, blocks, labels, prior)  # [B, U]
    count, width = label.shape[1], label.shape[2]
    by_block = ops.one_hot(chosen, count, axis=1, dtype="bool")  # [B, N, U]
    by_state = ops.one_hot(labels_before_end(chosen, labels, count), width, dtype="bool")  # [B, N, U + 1]
    # Chosen by `where` and not by a product: arcs off the path may be infinite.
    said = ops.sum(ops.where(by_block, label[:, :, :-1], 0.0), axis=1)
    left = ops.sum(ops.where(by_state, end, 0.0), axis=2)
    return path_loss(said, left, blocks, labels, delay_penalty)
