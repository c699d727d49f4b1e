"""AdamW with global clipping and a moving average of the weights, as one fused update.

Keras's own optimiser updates each variable by a dozen separate operations; here the whole update of every variable
compiles to few kernels, and the same function runs on every backend because it is a function of arrays.
"""

from collections.abc import Sequence
from typing import Any

from keras import ops

from asr.training.config import ScheduleConfig

BETA1, BETA2, EPSILON = 0.9, 0.98, 1e-8  # as transformers are usually trained (Vaswani et al. 2017, section 5.3)


def zero_slots(variables: Sequence[Any]) -> dict[str, list[Any]]:
    """First and second moments, zero, and the moving average, a copy of the weights."""
    zeros = [ops.zeros(v.shape, "float32") for v in variables]
    return {"first": zeros, "second": list(zeros), "average": [ops.copy(ops.convert_to_tensor(v)) for v in variables]}


def adamw(
    weights: Sequence[Any],
    gradients: Sequence[Any],
    slots: dict[str, Sequence[Any]],
    step: Any,
    rate: Any,
    config: ScheduleConfig,
) -> tuple[list[Any], dict[str, list[Any]], Any]:
    """One step of AdamW (Loshchilov and Hutter 2019, 1711.05101, algorithm 2) and of the moving average.

    Args:
        weights: Every trainable weight.
        gradients: Their gradients.
        slots: From `zero_slots` or the step before.
        step: float32 scalar, 1 for the first step.
        rate: float32 scalar, learning rate.
        config: Clip, decay and momentum.

    Returns:
        New weights, new slots and the gradient's global norm before clipping. A gradient that is not finite leaves
        weights and slots unchanged.
    """
    norm = ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients))
    finite = ops.isfinite(norm)
    factor = ops.where(finite, config.clip / ops.maximum(norm, config.clip), 0.0)
    # The average starts fast and slows to its momentum, so that early steps do not weigh on it for long.
    momentum = ops.minimum(config.ema, (1.0 + step) / (10.0 + step))
    correct1, correct2 = 1.0 - ops.power(BETA1, step), 1.0 - ops.power(BETA2, step)
    new_weights: list[Any] = []
    new: dict[str, list[Any]] = {"first": [], "second": [], "average": []}
    for w, g, m, v, average in zip(
        weights, gradients, slots["first"], slots["second"], slots["average"], strict=True
    ):
        g = ops.where(finite, ops.cast(g, "float32") * factor, 0.0)
        m1 = BETA1 * m + (1.0 - BETA1) * g
        v1 = BETA2 * v + (1.0 - BETA2) * ops.square(g)
        update = (m1 / correct1) / (ops.sqrt(v1 / correct2) + EPSILON)
        decay = config.weight_decay if len(w.shape) > 1 else 0.0  # matrices only: not biases and norms
        w1 = w - rate * (update + decay * w)
        new_weights.append(ops.where(finite, w1, w))
        new["first"].append(ops.where(finite, m1, m))
        new["second"].append(ops.where(finite, v1, v))
        new["average"].append(ops.where(finite, momentum * average + (1.0 - momentum) * w1, average))
    return new_weights, new, norm
