"""One harness for every attention layer: formula, masks, models, files, dtypes, gradients, training, both backends."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from runpy import run_path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import asr.attention
from asr.attention.interface import Attention

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SHARED = run_path(str(HERE / "cases.py"))
CASES, ITEMS, BATCH = SHARED["CASES"], SHARED["ITEMS"], SHARED["BATCH"]
inputs, built, model_of, by_formula, trained = (
    SHARED[name] for name in ("inputs", "built", "model_of", "by_formula", "trained")
)
ATOL = 1e-5

# Keras's saving copies TensorFlow's variables in a way that NumPy 2 will not support for ever.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@pytest.fixture(params=sorted(CASES))
def case(request: pytest.FixtureRequest) -> Any:
    return CASES[request.param]


def called(layer: Any, arrays: dict[str, np.ndarray], mask: np.ndarray | None, **options: Any) -> list[np.ndarray]:
    """Eagerly: context and weights."""
    masked = None if mask is None else ops.convert_to_tensor(mask)
    outputs = layer(arrays["query"], arrays["value"], mask=masked, **options)
    return [np.asarray(ops.cast(x, "float32")) for x in outputs]


def test_no_layer_is_left_out() -> None:
    """Every layer of asr/attention that can be stored in a file has a case here."""
    modules = [import_module(f"asr.attention.{m.name}") for m in iter_modules(asr.attention.__path__)]
    layers = {x for m in modules for x in vars(m).values() if isinstance(x, type) and issubclass(x, Attention)}
    stored = {x for x in layers if keras.saving.get_registered_name(x).startswith("earshot>")}
    assert {type(case.make()) for case in CASES.values()} == stored
    assert len(stored) == 19


@pytest.mark.parametrize("masks", ["none", "items", "items of each query"])
def test_equals_its_formula(masks: str, case: Any) -> None:
    layer, arrays = built(case), inputs(case)
    mask = {"none": None, "items": arrays["mask"], "items of each query": None}[masks]
    if masks == "items of each query":  # contiguous: from the query's own number on
        queries = arrays["query"].shape[1]
        mask = arrays["mask"][:, None, :] & (np.arange(ITEMS) >= np.arange(queries)[:, None] % 4)
    expected = by_formula(case, layer, arrays, mask)
    for found, wanted in zip(called(layer, arrays, mask), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=ATOL)


def test_weights_sum_to_one_where_they_should(case: Any) -> None:
    for seed in range(3):
        layer, arrays = built(case, seed), inputs(case, seed)
        weights = called(layer, arrays, arrays["mask"])[1]
        sums = weights.sum(-1)
        assert np.all(weights >= 0.0)
        if case.formula == "blockwise":  # its last blocks may lie past the shorter recording's end
            seen = by_formula(case, layer, arrays, arrays["mask"])[1].sum(-1) > 0
            sums = np.where(seen, sums, 1.0)
        if case.sums == "one":
            np.testing.assert_allclose(sums, 1.0, atol=ATOL)
        elif case.sums == "one or none":
            assert np.all(np.isclose(sums, 1.0, atol=ATOL) | (sums == 0.0))
        else:
            assert np.all((sums > 0.0) & (sums < 1.0 + ATOL))


def test_masked_items_change_nothing(case: Any) -> None:
    layer, arrays = built(case), inputs(case)
    filled = {name: x.copy() for name, x in arrays.items()}
    for name in ("value", "query") if case.alone else ("value",):
        filled[name][1, 5:] = 50.0
    rows = slice(0, 5) if case.alone else slice(None)  # a query may itself be past the end
    for x, y in zip(*(called(layer, a, a["mask"]) for a in (arrays, filled)), strict=True):
        np.testing.assert_array_equal(x[0], y[0])
        np.testing.assert_array_equal(x[1][..., rows, :], y[1][..., rows, :])


def test_recordings_do_not_depend_on_their_batch(case: Any) -> None:
    layer, arrays = built(case), inputs(case)
    whole = called(layer, arrays, arrays["mask"])
    for row in range(BATCH):
        alone = {name: x[row : row + 1] for name, x in arrays.items()}
        for x, y in zip(whole, called(layer, alone, alone["mask"]), strict=True):
            np.testing.assert_allclose(x[row : row + 1], y, atol=ATOL)


def test_padding_changes_nothing(case: Any) -> None:
    """A recording of 4 items in a memory of 8 gives what it gives in one of 4."""
    layer, arrays = built(case), inputs(case)
    short = {name: x[:, :4] if case.alone or name != "query" else x for name, x in arrays.items()}
    padded = called(layer, arrays, np.arange(ITEMS) < np.full((BATCH, 1), 4))[0]
    expected = called(layer, short, np.ones((BATCH, 4), bool))[0]
    kept = padded[:, : expected.shape[1]]
    np.testing.assert_allclose(kept, expected, atol=ATOL)


def test_a_memory_of_nothing_stays_finite(case: Any) -> None:
    layer, arrays = built(case), inputs(case)
    empty = np.zeros((BATCH, ITEMS), bool)
    with tf.GradientTape() as tape:
        outputs = layer(arrays["query"], arrays["value"], mask=ops.convert_to_tensor(empty), training=True)
        total = sum(ops.sum(ops.square(x)) for x in outputs)
    assert all(np.isfinite(np.asarray(x)).all() for x in outputs)
    for gradient in tape.gradient(total, [w.value for w in layer.trainable_weights]):
        assert gradient is None or np.isfinite(np.asarray(gradient)).all()


def test_symbolic_shapes_are_those_of_eager_calls(case: Any) -> None:
    """With an unknown number of items where the layer allows it."""
    model, arrays = model_of(case, ITEMS if case.known else None), inputs(case)
    outputs = model(arrays)
    for name, symbolic in model.output.items():
        assert len(symbolic.shape) == len(outputs[name].shape)
        pairs = zip(symbolic.shape, outputs[name].shape, strict=True)
        assert all(s in (None, e) for s, e in pairs), (symbolic.shape, outputs[name].shape)
    assert model.output["context"].shape[-1] is not None


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.known])
def test_a_model_of_any_length_takes_recordings_of_several(name: str) -> None:
    case = CASES[name]
    model = model_of(case, None)
    for items in (4, ITEMS):
        arrays = {name: x[:, :items] if case.alone or name != "query" else x for name, x in inputs(case).items()}
        expected = by_formula(case, model.layers[-1], arrays, arrays["mask"])[0]
        np.testing.assert_allclose(np.asarray(model(arrays)["context"]), expected, atol=ATOL)


@pytest.mark.parametrize(
    ("policy", "rounding"), [("mixed_bfloat16", 2**-8), ("mixed_float16", 2**-11), ("float64", 2**-24)]
)
def test_other_dtypes_are_near_float32(policy: str, rounding: float, case: Any) -> None:
    """Within a few roundings of the largest value: processors differ in where a product of matrices rounds."""
    layer, arrays = built(case), inputs(case)
    config = layer.get_config() | {"dtype": policy}
    for name in ("score", "chunk_score"):
        if isinstance(config.get(name), dict):
            config[name]["config"]["dtype"] = policy
    other = type(layer).from_config(config)
    other(arrays["query"], arrays["value"])
    other.set_weights(layer.get_weights())
    outputs = other(arrays["query"], arrays["value"], mask=ops.convert_to_tensor(arrays["mask"]))
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs} == {policy.removeprefix("mixed_")}
    assert {w.dtype for w in other.trainable_weights} <= {"float64" if policy == "float64" else "float32"}
    if case.smooth:  # a selection may tip over
        for x, y in zip(outputs, called(layer, arrays, arrays["mask"]), strict=True):
            np.testing.assert_allclose(
                np.asarray(ops.cast(x, "float32")), y, rtol=0.0, atol=20 * rounding * np.abs(y).max()
            )


def test_every_weight_and_input_has_a_gradient(case: Any) -> None:
    layer, arrays = built(case), inputs(case)
    query, value = (tf.constant(arrays[name]) for name in ("query", "value"))
    sources = [*(w.value for w in layer.trainable_weights), query, *(() if case.alone else (value,))]
    with tf.GradientTape() as tape:
        tape.watch([query, value])
        context = layer(query, query if case.alone else value, mask=arrays["mask"], training=True)[0]
        total = ops.sum(context * np.random.default_rng(0).normal(size=context.shape).astype(np.float32))
    for gradient in tape.gradient(total, sources):
        assert gradient is not None and np.isfinite(np.asarray(gradient)).all()
        assert np.abs(np.asarray(gradient)).max() > 1e-7


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.smooth])
def test_gradients_are_those_of_differences(name: str) -> None:
    case = CASES[name]
    layer, arrays = built(case), inputs(case)
    moved = arrays["query" if case.alone else "value"]
    direction = np.random.default_rng(1).normal(size=moved.shape).astype(np.float32)
    x = tf.constant(moved)

    def loss(x: Any) -> Any:
        query = x if case.alone else arrays["query"]
        context = layer(query, x, mask=arrays["mask"])[0]
        return ops.sum(ops.square(context))

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = loss(x)
    slope = float(np.sum(np.asarray(tape.gradient(value, x)) * direction))
    step = 2e-3  # hidden units of an MLP may switch on or off in a larger one
    ahead, behind = (float(loss(ops.convert_to_tensor(moved + s * step * direction))) for s in (1, -1))
    assert slope == pytest.approx((ahead - behind) / (2 * step), rel=0.02, abs=0.02)


def test_config_makes_the_same_layer(case: Any) -> None:
    layer, arrays = built(case), inputs(case)
    again = type(layer).from_config(layer.get_config())
    again(arrays["query"], arrays["value"])
    assert [w.name for w in again.weights] == [w.name for w in layer.weights]
    again.set_weights(layer.get_weights())
    assert again.get_config() == layer.get_config()
    for x, y in zip(*(called(one, arrays, arrays["mask"]) for one in (layer, again)), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Functional models of every case with random weights, as files written here, on TensorFlow."""
    folder = tmp_path_factory.mktemp("attention")
    for name, case in CASES.items():
        model = model_of(case)
        SHARED["randomise"](model, 3)
        model.save(folder / f"{name}.keras")
    return folder


@pytest.mark.parametrize("name", sorted(CASES))
def test_saved_models_load_and_learn(name: str, folder: Path) -> None:
    case, arrays = CASES[name], inputs(CASES[name])
    model = keras.saving.load_model(folder / f"{name}.keras")
    layer = next(x for x in model.layers if x.weights or not isinstance(x, keras.layers.InputLayer))
    expected, found = by_formula(case, layer, arrays, arrays["mask"]), model(arrays)
    np.testing.assert_allclose(np.asarray(found["context"]), expected[0], atol=ATOL)
    np.testing.assert_allclose(np.asarray(found["weights"]), expected[1], atol=ATOL)
    if model.trainable_weights:
        before = model.get_weights()
        losses = trained(model, arrays)
        assert np.isfinite(losses).all()
        assert any(np.abs(a - b).max() > 1e-7 for a, b in zip(model.get_weights(), before, strict=True))
        if case.smooth:
            assert losses[1] < losses[0]


@pytest.fixture(scope="module")
def on_jax(folder: Path) -> dict[str, np.ndarray]:
    """What the same files give on JAX, in a process of its own: Keras has one backend a process."""
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # compiling is most of the time
    command = [sys.executable, str(HERE / "on_jax.py"), str(folder), str(folder / "out.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "out.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", sorted(CASES))
def test_jax_gives_the_same(name: str, on_jax: dict[str, np.ndarray], folder: Path) -> None:
    """Outputs of the loaded file, its way through a file that JAX saved, and losses of training steps."""
    arrays = inputs(CASES[name])
    assert str(on_jax["backend"]) == "jax"
    model = keras.saving.load_model(folder / f"{name}.keras")
    for part, value in model(arrays).items():
        np.testing.assert_allclose(on_jax[f"{name} {part}"], np.asarray(value), atol=1e-4)
    assert on_jax[f"{name} again"] and on_jax[f"{name} bfloat16"]
    if model.trainable_weights and name != "hard":  # its samples are the backend's
        np.testing.assert_allclose(on_jax[f"{name} losses"], trained(model, arrays), rtol=1e-3)
