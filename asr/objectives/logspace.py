"""Sums in log space."""

from typing import Any

from keras import ops

LOG_ZERO = -1e30  # stands for log 0: finite, so that differences of two stay finite


def cumulative_logsumexp(x: Any) -> Any:
    """Cumulative log-sum-exp along the last axis: y_u = log Σ_{j <= u} exp x_j.

    By doubling (Hillis and Steele 1986): log2 of the length many sums, each over the whole axis, which compiles to one
    kernel and, unlike a difference of prefix sums, loses no precision.
    """
    reach, width = 1, x.shape[-1]
    while reach < width:
        before = ops.concatenate([ops.full_like(x[..., :reach], LOG_ZERO), x[..., :-reach]], axis=-1)
        x = ops.logaddexp(x, before)
        reach *= 2
    return x


def shifted(x: Any, fill: float = LOG_ZERO) -> Any:
    """X moved one place right along the last axis, `fill` put first."""
    return ops.concatenate([ops.full_like(x[..., :1], fill), x[..., :-1]], axis=-1)


def shifted_left(x: Any, fill: float = LOG_ZERO) -> Any:
    """X moved one place left along the last axis, `fill` put last."""
    return ops.concatenate([x[..., 1:], ops.full_like(x[..., :1], fill)], axis=-1)
