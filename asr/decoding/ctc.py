"""The wordpiece CTC head's opinion of a beam's hypotheses, frame by frame as the audio comes.

Of each hypothesis it keeps the probability that CTC gives its labels over all frames so far (the forward variables of
Graves et al. 2006, section 4.1), as in joint decoding with attention (Watanabe et al. 2017, equation 12), where whole
recordings are at hand. Here the past is cut off: a label may fall on any frame of the block it was emitted in or of the
joint's lookback, whichever CTC likes better, and afterwards move on with the blocks as long as fewer than `KEPT` labels
follow it.

Letters: B streams, K hypotheses of each (or candidates), W encoder frames per block, L = lookback + W, D labels kept,
V wordpieces; CTC's blank is symbol V.
"""

from typing import Any

from keras import ops

KEPT = 8  # D: more than a block has labels
NEVER = -1e30  # a log-probability; finite, so that differences of two of them are numbers
LEAST = -25.0  # log-probabilities below are as good as this: sums of a window keep their digits

State = dict[str, Any]


def before_the_first(batch: int, frames: int, vocabulary: int) -> Any:
    """Log-probabilities of frames before a stream: blank, surely; [B, frames, V + 1]."""
    blank = ops.arange(vocabulary + 1) == vocabulary
    return ops.broadcast_to(ops.where(blank, 0.0, LEAST), (batch, frames, vocabulary + 1))


def initial_state(batch: int, beam: int, lookback: int) -> State:
    """State of hypotheses without labels.

    Returns:
        "labels" [B, K, D] int32, the latest last (-1: none); "tails" [B, K, D, 2], log-probabilities of all labels up
        to each of these, ending with it and with blank, at the latest frame; "recent" [B, K, lookback, 2], those of the
        whole hypothesis at each frame before the block; "total" [B, K], that of the hypothesis.
    """
    empty = ops.stack([ops.full((batch, beam), NEVER), ops.zeros((batch, beam))], axis=-1)  # [B, K, 2]
    older = ops.full((batch, beam, KEPT - 1, 2), NEVER)
    return {
        "labels": ops.full((batch, beam, KEPT), -1, "int32"),
        "tails": ops.concatenate([older, empty[:, :, None]], axis=2),
        "recent": ops.repeat(empty[:, :, None], lookback, axis=2),
        "total": ops.zeros((batch, beam)),
    }


def heard(state: State, window: Any, size: int) -> State:
    """Hypotheses after the frames of a block, with the labels that they had before it.

    Args:
        state: From `initial_state` or `kept`.
        window: [B, L, V + 1] log-probabilities.
        size: W.

    Returns:
        The state, whose "recent" is now [B, K, L, 2].
    """
    labels, frames = state["labels"], window[:, window.shape[1] - size :]
    said = _of_labels(frames, labels)  # [B, K, D, W]
    blank = frames[:, None, None, :, -1]  # [B, 1, 1, W]
    again = ops.concatenate([ops.zeros_like(labels[..., :1]) - 1, labels[..., :-1]], axis=-1) == labels
    label, silence = state["tails"][..., 0], state["tails"][..., 1]
    found = []
    for w in range(size):
        either = ops.where(again[..., 1:], silence[..., :-1], ops.logaddexp(silence[..., :-1], label[..., :-1]))
        entering = ops.concatenate([ops.full_like(label[..., :1], NEVER), either], axis=-1)
        following = said[..., w] + ops.logaddexp(label, entering)
        silence = blank[..., w] + ops.logaddexp(silence, label)
        label = ops.maximum(following, NEVER)
        found.append(ops.stack([label[..., -1], silence[..., -1]], axis=-1))
    recent = ops.concatenate([state["recent"], ops.stack(found, axis=2)], axis=2)
    return state | {
        "tails": ops.stack([label, silence], axis=-1),
        "recent": recent,
        "total": ops.logsumexp(recent[:, :, -1], axis=-1),
    }


def extended(state: State, label: Any, window: Any) -> State:
    """Hypotheses after one more label each.

    Args:
        state: As `heard` returns it.
        label: [B, K] int32.
        window: [B, L, V + 1] log-probabilities.
    """
    ends, silences = state["recent"][..., 0], state["recent"][..., 1]  # [B, K, L]
    said = _of_labels(window, label[..., None])[:, :, 0]
    again = (state["labels"][..., -1] == label)[..., None]
    entering = _later(ops.where(again, silences, ops.logaddexp(silences, ends)))
    ends = _running(entering, said)
    silences = _running(_later(ends), ops.broadcast_to(window[:, None, :, -1], ends.shape))
    recent = ops.stack([ends, silences], axis=-1)
    return {
        "labels": ops.concatenate([state["labels"][..., 1:], label[..., None]], axis=-1),
        "tails": ops.concatenate([state["tails"][:, :, 1:], recent[:, :, -1:]], axis=2),
        "recent": recent,
        "total": ops.logsumexp(recent[:, :, -1], axis=-1),
    }


def kept(state: State, size: int) -> State:
    """What the next block needs: without the window's oldest W frames, and relative to the first hypothesis."""
    total = state["total"]
    least = total[:, :1]
    return {
        "labels": state["labels"],
        "tails": ops.maximum(state["tails"] - least[..., None, None], NEVER),
        "recent": ops.maximum(state["recent"][:, :, size:] - least[..., None, None], NEVER),
        "total": total - least,
    }


def _of_labels(log_probs: Any, labels: Any) -> Any:
    """[B, L, V + 1] and [B, K, n] -> [B, K, n, L]; of no label (-1) whatever there is."""
    batch, beam, count = labels.shape
    flat = ops.reshape(ops.maximum(labels, 0), (batch, 1, beam * count))
    found = ops.take_along_axis(log_probs, ops.broadcast_to(flat, (batch, log_probs.shape[1], beam * count)), axis=2)
    return ops.reshape(ops.swapaxes(found, 1, 2), (batch, beam, count, log_probs.shape[1]))


def _later(x: Any) -> Any:
    """Each frame's value at the next one: [..., L]."""
    return ops.concatenate([ops.full_like(x[..., :1], NEVER), x[..., :-1]], axis=-1)


def _running(entering: Any, staying: Any) -> Any:
    """x_t = staying_t + log(exp(x_{t-1}) + exp(entering_t)) for all frames at once, [..., L]."""
    to_here = ops.cumsum(staying, axis=-1)
    since = entering - (to_here - staying)
    count = entering.shape[-1]
    past = ops.arange(count)[:, None] >= ops.arange(count)[None]
    found = ops.logsumexp(ops.where(past, since[..., None, :], NEVER), axis=-1)
    return ops.maximum(to_here + found, NEVER)
