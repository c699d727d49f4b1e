"""Greedy decoding of a block in the form that is exported: no loop, no branch, no phrases.

What `asr.decoding.greedy.decode_block` does, for a joint with multi-head attention and a predictor without context
feedback. A block has seven labels at most, so the loop over them is written out; rows that have said all go through it
without effect. That costs less than leaving it early: its products are small, and stay in the processor's caches.

Letters: B rows, W frames of a block, K = lookback + W, M labels at most, P predictor width, J joint width, H heads,
V vocabulary.
"""

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.attention.masking import MASKED
from asr.decoding.greedy import labels_limit
from asr.transducer.model import Transducer

Array = NDArray[Any]
STEEP = 1e30  # makes a step of a ramp


def served(model: Transducer) -> bool:
    """Whether this decodes the model; another is decoded by the compiled step's own search."""
    return model.joint.attention == "multi_head" and not model.config.context_feedback


class UnrolledGreedy:
    """Decodes one block of B rows.

    Args:
        model: The transducer; `served` says which.
        block: W.
        rows: B.
    """

    def __init__(self, model: Transducer, block: int, rows: int) -> None:
        """Joins the products of the predictor's state into one."""
        joint, predictor = model.joint, model.predictor
        self.rows, self.block, self.limit = rows, block, labels_limit(block)
        self.heads, self.head_dim, self.joint_dim = joint.heads, joint.head_dim, joint.joint_dim
        self.lookback, self.dim, self.vocabulary = joint.lookback, predictor.dim, joint.vocabulary
        query = np.asarray(joint.query) * joint.head_dim**-0.5
        self._of_state = np.concatenate([query, np.asarray(joint.state), np.asarray(predictor.recurrent)], axis=1)
        biases = np.zeros(joint.joint_dim), np.asarray(joint.hidden_bias), np.asarray(predictor.bias)
        self._of_state_bias = np.concatenate(biases).astype(np.float32)
        self._context, self._output = np.asarray(joint.context), np.asarray(joint.output_kernel)
        self._output_bias, self._place = np.asarray(joint.output_bias), np.asarray(joint.place)
        self._projected = np.asarray(predictor.projected())[: self.vocabulary]

    def input_shapes(self) -> list[tuple[int, ...]]:
        """Of `step`'s arguments."""
        rows, width = self.rows, 2 * self.joint_dim
        span = self.lookback + self.block
        return [
            (rows, self.block, width),
            (rows, self.lookback, width),
            (rows, 1, 1, span),
            (rows, self.dim),
            (rows, 1),
            (1, 1),
        ]

    def step(self, frames: Any, before: Any, hidden: Any, state: Any, alive: Any, end_bias: Any) -> list[Any]:
        """Labels of a block.

        Args:
            frames: [B, W, 2J] keys and values of the block.
            before: [B, lookback, 2J] of the window before it.
            hidden: [B, 1, 1, K] added to the scores of the window and the block: 0, or `MASKED`.
            state: [B, P] of the predictor.
            alive: [B, 1] float32, 1: the row has a block, 0: it has none.
            end_bias: [1, 1] added to the end-of-block logit.

        Returns:
            The predictor's next state [B, P], logits [B, M, 1 + V], whether a label was said [B, M] (1 or 0) and the
            attention's weights [B, M, H, K].
        """
        window = ops.concatenate([before, frames], axis=1)
        span, j = self.lookback + self.block, self.joint_dim
        split = (-1, span, self.heads, self.head_dim)
        keys = ops.reshape(window[..., :j] + self._place[:span], split)
        keys = ops.transpose(keys, (0, 2, 3, 1))  # [B, H, d, K]
        values = ops.transpose(ops.reshape(window[..., j:], split), (0, 2, 1, 3))  # [B, H, K, d]
        found, said, looks = [], [], []
        for _ in range(self.limit):
            joined = ops.matmul(state, self._of_state) + self._of_state_bias
            query = ops.reshape(joined[:, :j], (-1, self.heads, 1, self.head_dim))
            weights = ops.softmax(ops.matmul(query, keys) + hidden, axis=-1)  # [B, H, 1, K]
            context = ops.reshape(ops.matmul(weights, values), (-1, j))
            logits = ops.tanh(ops.matmul(context, self._context) + joined[:, j : 2 * j])
            logits = ops.matmul(logits, self._output) + self._output_bias
            alive = alive * ops.clip((logits[:, :1] + end_bias) * -STEEP, 0.0, 1.0)
            _, label = ops.top_k(logits[:, 1:], 1)  # not argmax: LiteRT lacks what Keras makes of it
            following = self._advance(ops.take(self._projected, label[:, 0], axis=0), state, joined[:, 2 * j :])
            state = state + alive * (following - state)
            found.append(logits)
            said.append(alive)
            looks.append(weights[:, :, 0])
        return [state, ops.stack(found, axis=1), ops.concatenate(said, axis=1), ops.stack(looks, axis=1)]

    @staticmethod
    def _advance(x: Any, state: Any, recurrent: Any) -> Any:
        """As `asr.transducer.gru.gru_step`, the state's product given."""
        update_x, reset_x, new_x = ops.split(x, 3, axis=-1)
        update_h, reset_h, new_h = ops.split(recurrent, 3, axis=-1)
        new = ops.tanh(new_x + ops.sigmoid(reset_x + reset_h) * new_h)
        return new + ops.sigmoid(update_x + update_h) * (state - new)


def hidden_frames(seen: Array, lookback: int, block: int) -> Array:
    """What `UnrolledGreedy.step` adds to scores, of rows that had `seen` [B] frames before the block: [B, 1, 1, K]."""
    age = lookback - np.arange(lookback + block)
    return np.where(age <= seen[:, None], np.float32(0), np.float32(MASKED))[:, None, None]


def outputs_of(
    logits: Array, said: Array, looks: Array, active: Array, end_bias: float, lookback: int
) -> dict[str, Array]:
    """As `decode_block` returns, from what `UnrolledGreedy.step` returned; `active` [B] bool."""
    emitted = said > 0.5  # [B, M]
    ends, scores = logits[..., 0] + end_bias, logits[..., 1:]
    top = scores.max(-1)
    score = -np.log(np.exp(scores - top[..., None]).sum(-1)) - np.logaddexp(0.0, ends)
    end = 1.0 / (1.0 + np.exp(-np.clip(ends, -80.0, 80.0)))
    last = np.minimum(emitted.sum(-1), said.shape[1] - 1)
    weights = looks * emitted[..., None, None]
    places = weights.mean(2).argmax(-1) - lookback
    return {
        "labels": np.where(emitted, scores.argmax(-1), -1).astype(np.int32),
        "log_probs": np.where(emitted, score, 0.0).astype(np.float32),
        "frames": np.where(emitted, places, 0).astype(np.int32),
        "weights": weights,
        "end": end[:, 0].astype(np.float32),
        "done": np.where(active, np.take_along_axis(end, last[:, None], axis=1)[:, 0], 0.0).astype(np.float32),
    }
