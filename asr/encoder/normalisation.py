"""Layer normalisation and residual sums, as chains that compile into one kernel each."""

from typing import Any

from keras import ops

from asr.fused import fused

EPSILON = 1e-6


def normalise(x: Any, scale: Any, offset: Any) -> Any:
    """Layer normalisation of the last axis, computed in float32 (Ba et al. 2016, 1607.06450)."""
    x32 = ops.cast(x, "float32")
    centred = x32 - ops.mean(x32, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    y = centred * ops.rsqrt(variance + EPSILON) * ops.cast(scale, "float32") + ops.cast(offset, "float32")
    return ops.cast(y, x.dtype)


@fused
def layer_norm(x: Any, scale: Any, offset: Any) -> Any:
    """`normalise` as one kernel."""
    return normalise(x, scale, offset)


@fused
def add_and_norm(x: Any, branch: Any, bias: Any, weight: Any, scale: Any, offset: Any) -> tuple[Any, Any]:
    """Residual sum x + weight · (branch + bias), and its layer normalisation; `weight` broadcasts to [B, 1, D]."""
    total = x + ops.cast(weight, x.dtype) * (branch + bias)
    return total, normalise(total, scale, offset)
