"""A gated recurrent unit over a whole sequence, with its gradient written out.

Differentiating an unrolled loop compiles for minutes at 150 labels, and a TensorFlow loop is slow; both passes here are
scans of a few operations, which compile at once on every backend.

Letters: U labels, B batch, P width.
"""

from typing import Any

from keras import ops

from asr.fused import fused


def gru_step(x: Any, h: Any, recurrent: Any, bias: Any) -> Any:
    """One step of a gated recurrent unit (Cho et al. 2014, 1406.1078; the reset-after form of cuDNN).

    Args:
        x: [B, 3P] projected input, input bias included: update, reset, new.
        h: [B, P] state before.
        recurrent: [P, 3P].
        bias: [3P].

    Returns:
        [B, P], the state after.
    """
    update, _, new, _ = _gates(x, h, recurrent, bias)
    return update * h + (1.0 - update) * new


def _gates(x: Any, h: Any, recurrent: Any, bias: Any) -> tuple[Any, Any, Any, Any]:
    """Update gate, reset gate, new state, and the new state's recurrent part, each [B, P]."""
    update_x, reset_x, new_x = ops.split(x, 3, axis=-1)
    update_h, reset_h, new_h = ops.split(ops.matmul(h, recurrent) + bias, 3, axis=-1)
    reset = ops.sigmoid(reset_x + reset_h)
    return ops.sigmoid(update_x + update_h), reset, ops.tanh(new_x + reset * new_h), new_h


@fused
def _forward(x: Any, recurrent: Any, bias: Any) -> Any:
    def step(h: Any, x: Any) -> tuple[Any, Any]:
        h = gru_step(x, h, recurrent, bias)
        return h, h

    _, states = ops.scan(step, ops.zeros((x.shape[1], recurrent.shape[0]), x.dtype), x)
    return states


@fused
def _backward(x: Any, states: Any, recurrent: Any, bias: Any, upstream: Any) -> tuple[Any, Any, Any]:
    """Gradients by x, recurrent and bias."""
    before = ops.concatenate([ops.zeros_like(states[:1]), states[:-1]], axis=0)  # [U, B, P]

    def step(carried: Any, now: tuple[Any, Any, Any]) -> tuple[Any, Any]:
        x, h, upstream = now
        by_h = carried + upstream
        update, recurrent_part = _by_parts(x, h, by_h, recurrent, bias)[1:]
        return by_h * update + ops.matmul(recurrent_part, ops.transpose(recurrent)), by_h

    _, by_h = ops.scan(step, ops.zeros_like(upstream[0]), (x, before, upstream), reverse=True)
    by_x, _, by_recurrent = _by_parts(x, before, by_h, recurrent, bias)  # [U, B, 3P]
    flat = ops.reshape(by_recurrent, (-1, by_recurrent.shape[-1]))
    of_recurrent = ops.matmul(ops.transpose(ops.reshape(before, (-1, before.shape[-1]))), flat)
    return by_x, of_recurrent, ops.sum(flat, axis=0)


def _by_parts(x: Any, h: Any, by_h: Any, recurrent: Any, bias: Any) -> tuple[Any, Any, Any]:
    """From the gradient by the state after: by the projected input, the update gate, by the recurrent projection."""
    update, reset, new, new_h = _gates(x, h, recurrent, bias)
    by_update = by_h * (h - new) * update * (1.0 - update)
    by_new = by_h * (1.0 - update) * (1.0 - ops.square(new))
    by_reset = by_new * new_h * reset * (1.0 - reset)
    by_x = ops.concatenate([by_update, by_reset, by_new], axis=-1)
    return by_x, update, ops.concatenate([by_update, by_reset, by_new * reset], axis=-1)


@ops.custom_gradient
def gru_sequence(x: Any, recurrent: Any, bias: Any) -> Any:
    """States of a GRU from a zero state.

    Args:
        x: [U, B, 3P] projected inputs, input bias included.
        recurrent: [P, 3P].
        bias: [3P].

    Returns:
        [U, B, P].
    """
    states = _forward(x, recurrent, bias)

    def gradient(upstream: Any, **_: Any) -> tuple[Any, Any, Any]:
        return _backward(x, states, recurrent, bias, upstream)

    return states, gradient
