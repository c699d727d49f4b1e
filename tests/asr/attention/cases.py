"""Every attention layer in a tiny size, with what the harness has to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from runpy import run_path
from typing import Any

import keras
import numpy as np
from keras import layers

from asr.attention.additive import Additive
from asr.attention.area import Area
from asr.attention.area_2d import Area2D
from asr.attention.blockwise import BlockwiseOnline
from asr.attention.concat import Concat
from asr.attention.cross import CrossAttention
from asr.attention.dot import Dot
from asr.attention.general import General
from asr.attention.global_attention import Global
from asr.attention.hard import Hard
from asr.attention.local_m import LocalMonotonic
from asr.attention.local_p import LocalPredictive
from asr.attention.mocha import MoChA
from asr.attention.monotonic import Monotonic
from asr.attention.multi_head import MultiHead
from asr.attention.scaled_dot import ScaledDot
from asr.attention.self_attention import SelfAttention
from asr.attention.windowed import WindowedSelfAttention
from asr.attention.windowed_area import WindowedAreaAttention

BATCH, QUERIES, ITEMS = 2, 3, 8
NUMPY = run_path(str(Path(__file__).with_name("formulas.py")))


@dataclass(frozen=True)
class Case:
    """A layer to test.

    Attributes:
        make: Makes it.
        formula: Its name in formulas.py.
        widths: Of queries and memory.
        alone: Whether it attends to its query's own sequence.
        sums: Whether each query's weights sum to one ("one"), to one or zero ("one or none"), or to less ("less").
        known: Whether the number of memory items has to be known.
        smooth: Whether its outputs have the gradient that differences show.
    """

    make: Callable[[], Any]
    formula: str
    widths: tuple[int, int] = (6, 4)
    alone: bool = False
    sums: str = "one"
    known: bool = False
    smooth: bool = True


CASES = {
    "additive": Case(lambda: Additive(5), "similarity"),
    "dot": Case(Dot, "similarity", (4, 4)),
    "general": Case(General, "similarity"),
    "concat": Case(lambda: Concat(5), "similarity"),
    "scaled_dot": Case(ScaledDot, "similarity", (4, 4)),
    "cross": Case(lambda: CrossAttention(4), "heads"),
    "self": Case(lambda: SelfAttention(4), "heads", (6, 6), alone=True),
    "multi_head": Case(lambda: MultiHead(4, 2), "heads"),
    "global": Case(lambda: Global(Additive(5)), "global_"),
    "local_m": Case(lambda: LocalMonotonic(2, rate=1.5), "local_m"),
    "local_p": Case(lambda: LocalPredictive(3, units=5), "local_p", sums="less"),
    "hard": Case(lambda: Hard(seed=1), "hard", smooth=False),
    "monotonic": Case(lambda: Monotonic(noise=0.0), "monotonic_hard", sums="one or none", smooth=False),
    "monotonic_expected": Case(lambda: Monotonic(hard=False, noise=0.0), "monotonic_expected", sums="less"),
    "monotonic_restart": Case(
        lambda: Monotonic(General(scaled=True), hard=False, noise=0.0, restart=True), "monotonic_expected", sums="less"
    ),
    "mocha": Case(lambda: MoChA(3, noise=0.0), "mocha", sums="one or none", smooth=False),
    "mocha_expected": Case(lambda: MoChA(3, noise=0.0, hard=False), "mocha", sums="less"),
    "blockwise": Case(lambda: BlockwiseOnline(2, lookback=3), "blockwise", known=True),
    "windowed": Case(lambda: WindowedSelfAttention(8, 2, 4), "windowed", (8, 8), alone=True, known=True),
    "windowed_area": Case(lambda: WindowedAreaAttention(8, 2, 4, 3), "windowed", (8, 8), alone=True, known=True),
    "area": Case(lambda: Area(3), "area"),
    "area_mlp": Case(lambda: Area(3, units=5), "area"),
    "area_2d": Case(lambda: Area2D(4, 2, 3), "area"),
    "area_2d_mlp": Case(lambda: Area2D(4, 2, 2, units=5), "area"),
}


def inputs(case: Case, seed: int = 0) -> dict[str, np.ndarray]:
    """Query, value and a mask [B, S]: the second recording is shorter."""
    rng = np.random.default_rng(seed)
    value = rng.normal(size=(BATCH, ITEMS, case.widths[1])).astype(np.float32)
    query = value if case.alone else rng.normal(size=(BATCH, QUERIES, case.widths[0])).astype(np.float32)
    return {"query": query, "value": value, "mask": np.arange(ITEMS)[None, :] < np.array([[ITEMS], [5]])}


def randomise(layer: Any, seed: int) -> None:
    """Sets every weight by the seed alone, off its initial value."""
    rng = np.random.default_rng(seed)
    for weight in layer.trainable_weights:
        weight.assign(np.asarray(weight) * 0.5 + rng.normal(0.0, 0.5, tuple(weight.shape)))


def model_of(case: Case, items: int | None = ITEMS) -> keras.Model:
    """A Functional model of query, value and mask, with context and weights."""
    value = layers.Input((items, case.widths[1]), name="value")
    query = layers.Input((items if case.alone else QUERIES, case.widths[0]), name="query")
    mask = layers.Input((items,), dtype="bool", name="mask")
    outputs = case.make()(query, query if case.alone else value, mask=mask)
    sources = {"query": query, "value": value, "mask": mask}
    return keras.Model(sources, dict(zip(("context", "weights"), outputs, strict=True)))


def built(case: Case, seed: int = 0) -> Any:
    """The layer with weights by seed."""
    layer, arrays = case.make(), inputs(case)
    layer(arrays["query"], arrays["value"])
    randomise(layer, seed)
    return layer


def by_formula(case: Case, layer: Any, arrays: dict[str, np.ndarray], mask: np.ndarray | None) -> tuple[Any, Any]:
    """The numpy formula on a batch; mask [B, S], [B, U, S] or None."""
    contexts, weights = [], []
    for b, (query, value) in enumerate(zip(arrays["query"], arrays["value"], strict=True)):
        seen = np.ones(len(value), bool) if mask is None else mask[b]
        seen = np.broadcast_to(seen, (len(query), len(value)))
        context, weight = NUMPY[case.formula](layer, query.astype(np.float64), value.astype(np.float64), seen)
        contexts.append(context)
        weights.append(weight)
    return np.stack(contexts), np.stack(weights)


def trained(model: keras.Model, arrays: dict[str, np.ndarray], steps: int = 2) -> list[float]:
    """Losses of a few steps of training towards fixed contexts, by the backend's own training loop."""
    context = keras.Model(model.inputs, model.output["context"])
    context.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=keras.backend.backend() == "jax")
    shape = context.compute_output_shape({name: x.shape for name, x in arrays.items()})
    target = np.random.default_rng(9).normal(size=shape).astype(np.float32)
    ordered = [arrays[tensor.name] for tensor in context.inputs]
    return [float(context.train_on_batch(ordered, target)) for _ in range(steps)]
