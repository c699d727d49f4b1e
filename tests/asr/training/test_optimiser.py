"""The optimiser against AdamW and Muon written plainly in numpy."""

import keras
import numpy as np
import pytest

from asr.training.config import ScheduleConfig
from asr.training.optimiser import BETA1, BETA2, EPSILON, MOMENTUM, UPDATE_SCALE, hidden_matrices, update, zero_slots

CONFIG = ScheduleConfig(clip=1.0, weight_decay=0.1, ema=0.9)
SHAPES = {"matrix": (4, 3), "bias": (3,)}


def values(seed: int, scale: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(scale * rng.normal(size=shape)).astype(np.float32) for shape in SHAPES.values()]


def as_numpy(result):
    weights, slots, norm = result
    slots = {name: [np.asarray(x) for x in found] for name, found in slots.items()}
    return [np.asarray(w) for w in weights], slots, float(norm)


def adamw(weights, gradients, slots, step, rate):
    """Loshchilov and Hutter 2019, algorithm 2, after clipping by the global norm; and the moving average."""
    norm = np.sqrt(sum(np.sum(np.square(g, dtype=np.float64)) for g in gradients))
    momentum = min(CONFIG.ema, (1 + step) / (10 + step))
    for i, w in enumerate(weights):
        g = gradients[i] * min(1.0, CONFIG.clip / norm)
        slots["first"][i] = BETA1 * slots["first"][i] + (1 - BETA1) * g
        slots["second"][i] = BETA2 * slots["second"][i] + (1 - BETA2) * g**2
        direction = slots["first"][i] / (1 - BETA1**step) / (np.sqrt(slots["second"][i] / (1 - BETA2**step)) + EPSILON)
        weights[i] = w - rate * (direction + (CONFIG.weight_decay * w if w.ndim > 1 else 0.0))
        slots["average"][i] = momentum * slots["average"][i] + (1 - momentum) * weights[i]


def test_steps_are_those_of_adamw():
    start = values(0)
    weights, slots = start, {n: [np.asarray(x) for x in s] for n, s in zero_slots(start).items()}
    expected = [w.astype(np.float64) for w in start]
    reference = {n: [x.astype(np.float64) for x in s] for n, s in slots.items()}
    for step in range(1, 6):
        gradients = values(step, scale=0.1 if step == 3 else 2.0)  # the third is not clipped
        result = update(weights, gradients, slots, np.float32(step), np.float32(0.01), CONFIG, [False, False])
        weights, slots, norm = as_numpy(result)
        adamw(expected, gradients, reference, step, 0.01)
        assert norm == pytest.approx(np.sqrt(sum(np.sum(g**2) for g in gradients)), rel=1e-6)
    for found, wanted in zip(weights, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    for name, wanted in reference.items():
        for found, value in zip(slots[name], wanted, strict=True):
            np.testing.assert_allclose(found, value, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("matrix", [False, True])
def test_gradients_that_are_not_finite_change_nothing(bad, matrix):
    weights, gradients = values(0), values(1)
    slots = {"first": values(2), "second": [np.abs(v) for v in values(3)], "average": values(4)}
    gradients[1][0] = bad
    hidden = [matrix, False]
    moved, after, norm = as_numpy(update(weights, gradients, slots, np.float32(7), np.float32(0.01), CONFIG, hidden))
    assert not np.isfinite(norm)
    for found, wanted in zip(moved, weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
    for name, wanted in slots.items():
        for found, value in zip(after[name], wanted, strict=True):
            np.testing.assert_array_equal(found, value)


def test_muon_moves_matrices_along_the_orthogonalised_momentum():
    weights, gradients = values(0), values(1, scale=0.01)
    config = ScheduleConfig(clip=10.0, weight_decay=0.0)
    start = {n: [np.asarray(x) for x in s] for n, s in zero_slots(weights).items()}
    result = update(weights, gradients, start, np.float32(1), np.float32(1.0), config, [True, False])
    moved, slots, _ = as_numpy(result)
    np.testing.assert_allclose(slots["first"][0], gradients[0], rtol=1e-6)
    np.testing.assert_array_equal(slots["second"][0], 0.0)
    left, _, right = np.linalg.svd(gradients[0] * (1 + MOMENTUM), full_matrices=False)
    change = (weights[0] - moved[0]) / (UPDATE_SCALE * np.sqrt(4))
    singular = np.linalg.svd(change, compute_uv=False)
    assert np.all((singular > 0.6) & (singular < 1.3))  # five iterations bring them this near to 1
    assert np.sum(change * (left @ right)) / 3 == pytest.approx(1.0, abs=0.3)
    np.testing.assert_allclose(weights[1] - moved[1], np.sign(gradients[1]), rtol=1e-3)  # AdamW's first step


def test_muon_is_for_the_matrices_of_the_encoders_layers(make_model):
    variables = make_model(0).trainable_variables
    muon = hidden_matrices(variables, ScheduleConfig(optimiser="muon"))
    chosen = {v.path for v, matrix in zip(variables, muon, strict=True) if matrix}
    assert {"encoder/lower0/in1", "encoder/upper1/attention/qkv"} <= chosen
    assert all("/lower" in path or "/upper" in path for path in chosen)
    assert not any(path.endswith(("taps", "bias", "scale")) for path in chosen)
    assert not any(hidden_matrices(variables, ScheduleConfig(optimiser="adamw")))


def test_the_average_starts_as_a_copy_of_the_weights():
    variable = keras.Variable(np.ones(3, np.float32))
    slots = zero_slots([variable])
    variable.assign(np.zeros(3))
    np.testing.assert_array_equal(np.asarray(slots["average"][0]), np.ones(3))
    assert not np.any(np.asarray(slots["first"][0])) and not np.any(np.asarray(slots["second"][0]))
