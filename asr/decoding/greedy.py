"""Greedy block-synchronous decoding: labels until end-of-block, block after block, as part of the compiled step.

Letters: B streams, W encoder frames per block, K = lookback + W, M labels at most per block, P predictor width,
J joint width, V vocabulary, H heads.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from asr.decoding.hypotheses import Hypotheses
from asr.decoding.phrases import PhraseTables, after, biased
from asr.decoding.words import WordRule
from asr.transducer.joint import MAX_BLOCK, BlockJoint
from asr.transducer.model import Transducer

# Labels at most in a block of 8 frames (640 ms); fast speech has about 5. What does not fit is said in the next block,
# whose window reaches back; a looser limit lets a model that lost its place say things twice.
MAX_LABELS = 7
OF_LABELS = {"labels": "int32", "log_probs": "float32", "frames": "int32"}  # what decoding tells of each label


def labels_limit(block: int) -> int:
    """M, labels at most in a block of so many frames."""
    return -(-MAX_LABELS * block // MAX_BLOCK)


def block_window(joint: BlockJoint, frames: Any, state: dict[str, Any]) -> tuple[Any, Any]:
    """What the joint attends to in a block.

    Args:
        joint: The block joint.
        frames: [B, W, 2J] keys and values of the block.
        state: With "window" [B, lookback, 2J] and "seen" [B].

    Returns:
        [B, K, 2J] keys and values, and a mask [B, K] of the frames that exist.
    """
    window = ops.concatenate([state["window"], frames], axis=1)
    age = joint.lookback - ops.arange(window.shape[1], dtype="int32")  # frames before the block's first
    return window, age[None, :] <= state["seen"][:, None]


class GreedySearch:
    """Decodes blocks with the likeliest symbol at each step.

    Args:
        model: The transducer, whose weights do not change any more.
    """

    def __init__(self, model: Transducer) -> None:
        """Keeps the model."""
        self.model, self.head = model, None
        self._projected = model.predictor.projected()
        self.constants = [self._projected]

    @property
    def word_rule(self) -> WordRule:
        """How its labels become word times and confidences."""
        return self.model.word_rule

    def hypotheses(self, frame_ms: int, phrases: Sequence[str] = (), weight: float = 0.0) -> Hypotheses:
        """What takes the outputs of a stream, whose phrases the step follows."""
        return Hypotheses(frame_ms)

    @property
    def identity(self) -> str:
        """What of the search is part of a program besides its variables and `constants`."""
        return f"greedy search {self.model.config}"

    @property
    def variables(self) -> list[keras.Variable]:
        """All that it may read."""
        return list(self.model.variables)

    def frames(self, lower: Any, upper: Any) -> Any:
        """What `block` takes of encoder frames [B, 2C, D] and [B, C, D]: the joint's keys and values [B, C, 2J]."""
        return self.model.joint.frames(upper)

    def initial_state(self, batch: int) -> dict[str, Any]:
        """State of `batch` new streams: predictor, window before the block, frames seen, and place in the phrases."""
        return initial_state(self.model, batch)

    def nothing(self, batch: int, size: int) -> dict[str, Any]:
        """What `block` gives, all zero, for `batch` streams and blocks of `size` frames."""
        joint, limit = self.model.joint, labels_limit(size)
        found = {name: ops.zeros((batch, limit), kind) for name, kind in OF_LABELS.items()}
        looks = ops.zeros((batch, limit, joint.weight_heads, joint.lookback + size))
        return found | {"weights": looks, "end": ops.zeros((batch,)), "done": ops.zeros((batch,))}

    def block(
        self,
        frames: Any,
        state: dict[str, Any],
        active: Any,
        end_bias: Any,
        phrases: PhraseTables | None = None,
        lists: Any = None,
    ) -> tuple[dict[str, Any], Any]:
        """As `decode_block`."""
        return decode_block(self.model, frames, state, active, end_bias, phrases, lists, self._projected)


def initial_state(model: Transducer, batch: int) -> dict[str, Any]:
    """State of `batch` new streams: as `GreedySearch.initial_state`."""
    joint = model.joint
    return {
        "phrase": ops.zeros((batch,), "int32"),
        "predictor": model.predictor.initial_state(batch),
        "window": ops.zeros((batch, joint.lookback, 2 * joint.joint_dim)),
        "seen": ops.zeros((batch,), "int32"),
    }


def decode_block(
    model: Transducer,
    frames: Any,
    state: dict[str, Any],
    active: Any,
    end_bias: Any,
    phrases: PhraseTables | None = None,
    lists: Any = None,
    projected: Any = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Emits the labels of one block of every stream.

    Args:
        model: The transducer.
        frames: [B, W, 2J] keys and values of the block's encoder frames, from `BlockJoint.frames`.
        state: From `initial_state` or the block before.
        active: [B] bool, streams that have a block now; the others emit nothing and keep their state.
        end_bias: Scalar added to the end-of-block logit: above 0, fewer labels.
        phrases: Lists of phrases to favour; None: none.
        lists: [B] int32, each stream's list.
        projected: Of the predictor, as `Predictor.step` takes it.

    Returns:
        The next state, and by name: "labels" [B, M] int32 (-1 past the last), "log_probs" [B, M] of each label,
        "frames" [B, M] int32, the block's frame that each label attended to most (may be negative: in the window
        before), "weights" [B, M, H, K] of each label's attention, "end" [B] probability of end-of-block before the
        first label, "done" [B] after the last (before it, where there is no place for more).
    """
    joint, batch, block = model.joint, frames.shape[0], frames.shape[1]
    window, mask = block_window(joint, frames, state)
    limit = labels_limit(block)

    def more(k: Any, alive: Any, *_: Any) -> Any:
        return ops.logical_and(k < limit, ops.any(alive))

    def emit(k: Any, alive: Any, predictor: Any, node: Any, labels: Any, log_probs: Any, looks: Any, ends: Any) -> Any:
        context, weights = joint.listen(predictor, window, mask)  # [B, J], [B, H, K]
        logits = joint.score(predictor, context)  # [B, 1 + V]
        end_logit, scores = logits[:, 0] + end_bias, logits[:, 1:]
        label, score, following = _choose(scores, node, phrases, lists)
        score = score - ops.logsumexp(scores, axis=-1) + ops.log_sigmoid(-end_logit)
        end = ops.sigmoid(end_logit)
        ends = ops.where(k == 0, end, ends[0]), ops.where(alive, end, ends[1])
        alive = ops.logical_and(alive, end_logit < 0.0)
        here = ops.logical_and(alive[:, None], ops.arange(limit, dtype="int32")[None, :] == k)
        labels = ops.where(here, label[:, None], labels)
        log_probs = ops.where(here, score[:, None], log_probs)
        looks = ops.where(here[..., None, None], ops.cast(weights, "float32")[:, None], looks)
        # Context feedback needs no state of its own: the next predictor state takes this label's context up at once.
        predictor = ops.where(alive[:, None], model.predictor.step(label, predictor, context, projected), predictor)
        return k + 1, alive, predictor, ops.where(alive, following, node), labels, log_probs, looks, ends

    start = (
        ops.convert_to_tensor(0, "int32"),
        active,
        state["predictor"],
        state["phrase"],
        ops.full((batch, limit), -1, "int32"),
        ops.zeros((batch, limit)),
        ops.zeros((batch, limit, joint.weight_heads, window.shape[1])),
        (ops.zeros((batch,)), ops.zeros((batch,))),
    )
    _, _, predictor, node, labels, log_probs, looks, (first, done) = ops.while_loop(more, emit, start)
    moved = active[:, None, None]
    following = {
        "predictor": predictor,
        "phrase": node,
        "window": ops.where(moved, window[:, block:], state["window"]),
        "seen": ops.where(active, ops.minimum(state["seen"] + block, joint.lookback), state["seen"]),
    }
    places = ops.cast(ops.argmax(ops.mean(looks, axis=2), axis=-1), "int32") - joint.lookback
    places = ops.where(labels >= 0, places, 0)
    found = {"labels": labels, "log_probs": log_probs, "frames": places, "weights": looks, "end": first, "done": done}
    return following, found


def _choose(scores: Any, node: Any, phrases: PhraseTables | None, lists: Any) -> tuple[Any, Any, Any]:
    """The best label of scores [B, V] with the phrases' bonus, its own score without it, and the node after it."""
    if phrases is None:
        return ops.cast(ops.argmax(scores, axis=-1), "int32"), ops.max(scores, axis=-1), node
    bonus, following = biased(phrases, lists, node)
    label = ops.cast(ops.argmax(scores + bonus, axis=-1), "int32")
    return label, after(scores, label), after(following, label)
