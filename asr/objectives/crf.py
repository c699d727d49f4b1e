"""CTC-CRF: a CTC head whose label sequences compete with all others, each weighed by a bigram of labels.

Xiang and Ou 2019 ("CRF-based single-stage acoustic modeling with CTC topology", ICASSP), equations 1 to 3: the loss is
−log p(l | x) of the labels l, where p(l | x) ∝ P(l) Σ_π Π_t y_t(π_t), over the paths π of l, with the head's symbols y
and the labels' language model P. CTC takes a frame's symbols as independent given the recording and so leaves P to be
learnt again by the encoder; here P is given, and what competes is what a decoder with a language model would weigh. The
sum over all labels is that of lattice-free MMI (Povey et al. 2016, "Purely sequence-trained neural networks for ASR
based on lattice-free MMI", section 2): one forward and one backward pass over the states of P, for P small. As in
`ctc`, its gradient is the posterior of each symbol at each frame. P is a bigram, and any label is as likely the first.

Letters: B batch, S frames, U labels, P symbols; the blank is symbol P, the last.
"""

from typing import Any

from keras import ops

from asr.fused import fused
from asr.objectives.ctc import ctc_loss, log_softmax

TINY = 1e-30  # sums of probabilities are at least this, so that their logarithm and quotients are finite


@fused
def denominator(log_probs: Any, frames: Any, bigram: Any) -> tuple[Any, Any]:
    """Sum over every path, each with the bigram's probability of its labels.

    A state is the last label and whether the frame says it or a blank after it, and a blank before any label. States
    are scaled to sum to one at each frame, so that probabilities need no logarithm and a step is one matrix product.

    Args:
        log_probs: [B, S, P + 1] float32, normalised, blank last.
        frames: [B] int32, valid frames of each recording.
        bigram: [P, P] float32, probability of each label (column) after each (row).

    Returns:
        Logarithm of the sum, [B], and posteriors [B, S, P + 1], summing to one over symbols in valid frames, else 0.
    """
    count, labels = log_probs.shape[1], log_probs.shape[2] - 1
    probs = ops.transpose(ops.exp(log_probs), (1, 0, 2))  # [S, B, P + 1]
    valid = ops.transpose(ops.arange(count, dtype="int32")[None, :] < frames[:, None])[..., None]  # [S, B, 1]
    follows = ops.concatenate([bigram, ops.ones_like(bigram[:1]) / labels], axis=0)  # [P + 1, P], last: at the start
    again = ops.diagonal(bigram)  # which needs a blank between: a label that is said on is still the same

    def entering(state: Any) -> tuple[Any, Any]:
        """What reaches each label, [..., P], and each blank, [..., P + 1], from the states of the frame before."""
        label, blank = state[..., :labels], state[..., labels:]
        history = blank + ops.concatenate([label, ops.zeros_like(label[..., :1])], axis=-1)
        return ops.matmul(history, follows) - label * again + label, history

    def forward(state: Any, now: tuple[Any, Any]) -> tuple[Any, Any]:
        probs, valid = now
        label, blank = entering(state)
        after = _scaled(ops.concatenate([label * probs[:, :-1], blank * probs[:, -1:]], axis=1))
        return ops.where(valid, after, state), state

    nothing = ops.zeros_like(probs[0, :, :-1])
    start = ops.concatenate([nothing, nothing, ops.ones_like(probs[0, :, -1:])], axis=1)  # [B, 2P + 1]
    _, before = ops.scan(forward, start, (probs, valid))
    label, blank = entering(before)
    reached = ops.concatenate([label * probs[..., :-1], blank * probs[..., -1:]], axis=-1)  # [S, B, 2P + 1]
    factors = ops.log(ops.maximum(ops.sum(reached, axis=-1), TINY))
    log_sum = ops.sum(ops.where(valid[..., 0], factors, 0.0), axis=0)

    def backward(state: Any, now: tuple[Any, Any]) -> tuple[Any, Any]:
        probs, valid = now
        said = probs[:, :-1] * state[:, :labels]
        blank = ops.matmul(said, ops.transpose(follows)) + probs[:, -1:] * state[:, labels:]
        label = blank[:, :-1] - said * again + said
        return ops.where(valid, _scaled(ops.concatenate([label, blank], axis=1)), state), state

    _, rest = ops.scan(backward, ops.ones_like(start), (probs, valid), reverse=True)
    posterior = ops.where(valid, _scaled(reached * rest), 0.0)
    blank = ops.sum(posterior[..., labels:], axis=-1, keepdims=True)
    by_symbol = ops.concatenate([posterior[..., :labels], blank], axis=-1)
    return log_sum, ops.transpose(by_symbol, (1, 0, 2))


def _scaled(state: Any) -> Any:
    """States that sum to one along the last axis."""
    return state / ops.maximum(ops.sum(state, axis=-1, keepdims=True), TINY)


@fused
def _bigram_log_prob(targets: Any, labels: Any, bigram: Any) -> Any:
    """The bigram's log-probability of the labels, [B]; arguments as `crf_losses`."""
    symbols, place = bigram.shape[0], ops.arange(targets.shape[1], dtype="int32")[None, :]
    first = ops.full(targets[:, :1].shape, -ops.log(ops.cast(symbols, "float32")))
    pairs = targets[:, :-1] * symbols + targets[:, 1:]
    later = ops.take(ops.reshape(ops.log(bigram), (-1,)), pairs)
    log_probs = ops.concatenate([first, later], axis=1)
    return ops.sum(ops.where(place < labels[:, None], log_probs, 0.0), axis=1)


def _fits(targets: Any, frames: Any, labels: Any) -> Any:
    """Whether there are as many frames as labels and the blanks between equal ones, [B]."""
    place = ops.arange(targets.shape[1], dtype="int32")[None, 1:]
    equal = (targets[:, 1:] == targets[:, :-1]) & (place < labels[:, None])
    return labels + ops.sum(ops.cast(equal, "int32"), axis=1) <= frames


def crf_losses(logits: Any, targets: Any, frames: Any, labels: Any, bigram: Any) -> tuple[Any, Any]:
    """Negative log-likelihood of the labels under CTC, and under CTC-CRF, of which it is a part.

    Args:
        logits: [B, S, P + 1], blank last.
        targets: [B, U] int32, padded with any symbol.
        frames: [B] int32, valid frames of each recording.
        labels: [B] int32, valid labels of each recording.
        bigram: [P, P] float32, probability above 0 of each label (column) after each (row).

    Returns:
        Two losses [B] float32, each 0, with no gradient, where the labels do not fit into the frames.
    """
    bigram = ops.convert_to_tensor(bigram, "float32")
    targets, frames, labels = (ops.cast(x, "int32") for x in (targets, frames, labels))
    log_probs, ctc = log_softmax(logits), ctc_loss(logits, targets, frames, labels)
    results = denominator(ops.stop_gradient(log_probs), frames, bigram)
    log_sum, posterior = (ops.stop_gradient(x) for x in results)
    linear = ops.sum(posterior * log_probs, axis=(1, 2))
    others = log_sum + linear - ops.stop_gradient(linear)
    own = _bigram_log_prob(targets, labels, bigram)
    return ctc, ops.where(_fits(targets, frames, labels), ctc - own + others, 0.0)
