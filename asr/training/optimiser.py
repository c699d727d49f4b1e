"""AdamW or Muon, global clipping and a moving average of the weights, as functions of arrays.

Keras's own optimisers update each variable by a dozen separate operations; here the elementwise work of all variables
compiles to few kernels, and the same functions run on every backend.

With `optimiser = "muon"` the matrices of the encoder's layers move along the orthogonalised momentum (Jordan et al.
2024, "Muon"; scaled as in Liu et al. 2025, 2502.16982, equation 4), everything else by AdamW.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from asr.training.config import ScheduleConfig

BETA1, BETA2, EPSILON = 0.9, 0.98, 1e-8  # as transformers are usually trained (Vaswani et al. 2017, section 5.3)
MOMENTUM = 0.95  # Muon's
QUINTIC = (3.4445, -4.7750, 2.0315)  # coefficients of Muon's Newton–Schulz iteration
ITERATIONS = 5
UPDATE_SCALE = 0.2  # of Muon's update, so that its root mean square is like AdamW's

Slots = Mapping[str, Sequence[Any]]


def zero_slots(variables: Sequence[Any]) -> dict[str, list[Any]]:
    """First and second moments, zero, and the moving average, a copy of the weights."""
    zeros = [ops.zeros(v.shape, "float32") for v in variables]
    return {"first": zeros, "second": list(zeros), "average": [ops.copy(ops.convert_to_tensor(v)) for v in variables]}


def hidden_matrices(variables: Sequence[Any], config: ScheduleConfig) -> list[bool]:
    """Which Keras variables Muon moves: matrices inside the encoder's layers, if the configuration says so."""

    def hidden(variable: Any) -> bool:
        inside = any(part in variable.path for part in ("/lower", "/upper"))
        return inside and len(variable.shape) == 2 and min(variable.shape) > 16  # not the convolution's taps

    return [config.optimiser == "muon" and hidden(v) for v in variables]


def moments(
    gradients: Sequence[Any], slots: Slots, step: Any, config: ScheduleConfig, hidden: Sequence[bool]
) -> tuple[list[Any], dict[str, list[Any]], Any]:
    """Clips, and updates the moments.

    Args:
        gradients: Of every trainable weight.
        slots: From `zero_slots` or the step before.
        step: float32 scalar, 1 for the first step.
        config: Clip.
        hidden: From `hidden_matrices`.

    Returns:
        Directions (AdamW's update, or Muon's momentum before `orthogonal`), new "first" and "second" moments, and the
        gradients' global norm before clipping. If that is not finite, the moments stay and the directions are zero.
    """
    norm = ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients))
    finite = ops.isfinite(norm)
    factor = ops.where(finite, config.clip / ops.maximum(norm, config.clip), 0.0)
    correct1, correct2 = 1.0 - ops.power(BETA1, step), 1.0 - ops.power(BETA2, step)
    directions: list[Any] = []
    new: dict[str, list[Any]] = {"first": [], "second": []}
    for g, m, v, matrix in zip(gradients, slots["first"], slots["second"], hidden, strict=True):
        g = ops.where(finite, ops.cast(g, "float32") * factor, 0.0)
        if matrix:
            m1, v1 = MOMENTUM * m + g, v
            direction = g + MOMENTUM * m1  # Nesterov's
        else:
            m1 = BETA1 * m + (1.0 - BETA1) * g
            v1 = BETA2 * v + (1.0 - BETA2) * ops.square(g)
            direction = (m1 / correct1) / (ops.sqrt(v1 / correct2) + EPSILON)
        directions.append(ops.where(finite, direction, 0.0))
        new["first"].append(ops.where(finite, m1, m))
        new["second"].append(ops.where(finite, v1, v))
    return directions, new, norm


def orthogonal(directions: Sequence[Any], hidden: Sequence[bool]) -> list[Any]:
    """Muon's update from its momentum: each matrix's nearest orthogonal one, by Newton and Schulz, in bfloat16.

    Matrices of one shape go through together. Directions that are not Muon's are returned as they are.
    """
    results = list(directions)
    groups: dict[tuple[int, ...], list[int]] = {}
    for i, (direction, matrix) in enumerate(zip(directions, hidden, strict=True)):
        if matrix:
            groups.setdefault(tuple(direction.shape), []).append(i)
    for shape, members in groups.items():
        stacked = _newton_schulz(ops.stack([directions[i] for i in members]))
        scale = UPDATE_SCALE * max(shape) ** 0.5
        for row, i in enumerate(members):
            results[i] = ops.cast(stacked[row], "float32") * scale
    return results


def _newton_schulz(x: Any) -> Any:
    """[n, rows, columns] -> the same with all singular values near 1."""
    a, b, c = QUINTIC
    tall = x.shape[1] > x.shape[2]
    x = ops.transpose(x, (0, 2, 1)) if tall else x
    x = ops.cast(x / (ops.sqrt(ops.sum(ops.square(x), axis=(1, 2), keepdims=True)) + 1e-7), "bfloat16")
    for _ in range(ITERATIONS):
        gram = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
        x = a * x + ops.matmul(b * gram + c * ops.matmul(gram, gram), x)
    return ops.transpose(x, (0, 2, 1)) if tall else x


def move(
    weights: Sequence[Any],
    directions: Sequence[Any],
    averages: Sequence[Any],
    step: Any,
    rate: Any,
    norm: Any,
    config: ScheduleConfig,
) -> tuple[list[Any], list[Any]]:
    """Moves the weights along the directions, with decoupled weight decay, and their moving average.

    Loshchilov and Hutter 2019 (1711.05101), algorithm 2. Where `norm` is not finite nothing moves.

    Returns:
        New weights and new averages.
    """
    finite = ops.isfinite(norm)
    # The average starts fast and slows to its momentum, so that early steps do not weigh on it for long.
    momentum = ops.minimum(config.ema, (1.0 + step) / (10.0 + step))
    moved, averaged = [], []
    for w, direction, average in zip(weights, directions, averages, strict=True):
        decay = config.weight_decay if len(w.shape) > 1 else 0.0  # matrices only: not biases and norms
        w1 = ops.where(finite, w - rate * (direction + decay * w), w)
        moved.append(w1)
        averaged.append(ops.where(finite, momentum * average + (1.0 - momentum) * w1, average))
    return moved, averaged


def update(
    weights: Sequence[Any],
    gradients: Sequence[Any],
    slots: Slots,
    step: Any,
    rate: Any,
    config: ScheduleConfig,
    hidden: Sequence[bool],
) -> tuple[list[Any], dict[str, list[Any]], Any]:
    """One whole step: `moments`, `orthogonal`, `move`.

    Returns:
        New weights, new slots and the gradients' global norm before clipping.
    """
    directions, new, norm = moments(gradients, slots, step, config, hidden)
    directions = orthogonal(directions, hidden)
    moved, new["average"] = move(weights, directions, slots["average"], step, rate, norm, config)
    return moved, new, norm
