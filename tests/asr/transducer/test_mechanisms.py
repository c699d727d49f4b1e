"""The block joint by every mechanism: formula, streams against the lattice, decoding, losses, both backends."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from runpy import run_path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from asr.config import BLOCK_ATTENTIONS, ModelConfig
from asr.decoding.greedy import decode_block, initial_state, labels_limit
from asr.errors import ConfigError
from asr.streaming.engine import compiled
from asr.transducer.feedback import aligned_log_probs
from asr.transducer.joint import BlockJoint
from asr.transducer.mechanisms import BY_HEAD, PROJECTED, block_mechanism
from asr.transducer.model import Transducer

HERE = Path(__file__).parent
FORMULAS = run_path(str(HERE.parent / "attention" / "formulas.py"))
DEFAULT_WEIGHTS = ["query", "key_value", "place", "context", "state", "hidden_bias", "output", "output_bias"]
FORMULA = {"local_p": "local_p", "monotonic": "monotonic_expected", "mocha": "mocha"}  # the others: "similarity"
LOOKBACK, DIM = 4, 32


@pytest.fixture(scope="module")
def model(tiny: ModelConfig, randomised: Callable) -> Callable[[str], Transducer]:
    """A tiny model by mechanism, all with the same encoder and labels as far as their weights are the same."""
    made: dict[str, Transducer] = {}

    def make(attention: str) -> Transducer:
        if attention not in made:
            sizes = {"predictor_dim": DIM, "attention_radius": 3, "attention_chunk": 3, "attention_span": 3}
            made[attention] = Transducer(dataclasses.replace(tiny, attention=attention, **sizes))
            for seed in range(2):
                randomised(made[attention].predictor, seed)
                randomised(made[attention].joint, seed)
        return made[attention]

    return make


@pytest.fixture(params=BLOCK_ATTENTIONS)
def attention(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def joint(model: Callable, attention: str) -> BlockJoint:
    return model(attention).joint


def case(frames: int, states: int, batch: int = 2) -> tuple[Any, Any]:
    """Encoder frames [B, S, D] and predictor states [B, U + 1, P]."""
    rng = np.random.default_rng(frames)
    encoded = rng.normal(0.0, 1.5, (batch, frames, DIM)).astype(np.float32)
    found = np.tanh(rng.normal(size=(batch, states, DIM))).astype(np.float32)
    return ops.convert_to_tensor(encoded), ops.convert_to_tensor(found)


@pytest.mark.parametrize("block", [2, 8])
def test_attention_is_the_mechanisms_formula_over_the_window(block: int, joint: BlockJoint) -> None:
    encoded, states = case(16, 3)
    windows, mask = joint.blocks(joint.frames(encoded), block)
    contexts, weights = (np.asarray(x) for x in joint.attend(states, windows, mask))
    query = np.asarray(states) @ np.asarray(joint.query) if joint.attention in PROJECTED else np.asarray(states)
    keys, values = np.split(np.asarray(windows, np.float64), 2, axis=-1)
    keys = keys + np.asarray(joint.place)[: LOOKBACK + block]
    for b in range(2):
        for n in range(16 // block):
            seen = np.asarray(mask)[0, n]
            if joint.attention == "local_m":
                seen = seen & (np.abs(np.arange(LOOKBACK + block) - (LOOKBACK + block // 2)) <= joint.radius)
            context, weight = expected(joint, query[b], keys[b, n], values[b, n], seen)
            np.testing.assert_allclose(contexts[b, n], context, atol=1e-4)
            np.testing.assert_allclose(weights[b, n], weight, atol=1e-5)


def expected(joint: BlockJoint, query: np.ndarray, keys: np.ndarray, values: np.ndarray, seen: np.ndarray) -> Any:
    """Contexts [U, J] and weights [H, U, K] of one window."""
    seen = np.broadcast_to(seen, (len(query), len(keys)))
    if joint.attention not in BY_HEAD:
        weights = FORMULAS[FORMULA.get(joint.attention, "similarity")](joint.mechanism, query, keys, seen)[1]
        return weights @ values, weights[None]
    span = joint.span if joint.attention == "area" else 1
    contexts, weights = [], []
    for q, k, v in zip(*(np.split(x, joint.heads, axis=-1) for x in (query, keys, values)), strict=True):
        rows = [FORMULAS["areas_of_scores"](k @ u / np.sqrt(k.shape[-1]), seen[0], span) for u in q]
        contexts.append(np.stack([mixed @ v for mixed, _ in rows]))
        weights.append(np.stack([shares for _, shares in rows]))
    return np.concatenate(contexts, axis=-1), np.stack(weights)


def test_streams_are_scored_as_the_lattice_is(joint: BlockJoint) -> None:
    encoded, states = case(16, 3)
    windows, mask = joint.blocks(joint.frames(encoded), 4)
    contexts, weights = joint.attend(states, windows, mask)
    logits = np.asarray(joint.logits(states, contexts)) + np.asarray(joint.output_bias)
    for n in range(4):
        exists = ops.broadcast_to(mask[:, n], (2, LOOKBACK + 4))
        for u in range(3):
            result = joint.attend_stream(states[:, u], windows[:, n], exists)
            np.testing.assert_allclose(np.asarray(result[0]), logits[:, n, u], atol=1e-4)
            np.testing.assert_allclose(np.asarray(result[1]), np.asarray(weights)[:, n, :, u], atol=1e-5)


def offline(model: Transducer, encoded: Any, block: int) -> list[list[list[int]]]:
    """Labels by recording and block: the likeliest way through the lattice of the whole recording."""
    joint, found = model.joint, []
    for row in range(encoded.shape[0]):
        windows, mask = joint.blocks(joint.frames(encoded[row : row + 1]), block)
        state, labels = model.predictor.initial_state(1), []
        for n in range(windows.shape[1]):
            labels.append([])
            while len(labels[-1]) < labels_limit(block):
                contexts, _ = joint.attend(state[:, None], windows, mask)
                logits = np.asarray(joint.logits(state[:, None], contexts))[0, n, 0] + np.asarray(joint.output_bias)
                if logits[0] >= 0.0:
                    break
                labels[-1].append(int(logits[1:].argmax()))
                state = model.predictor.step(ops.full((1,), labels[-1][-1], "int32"), state)
        found.append(labels)
    return found


def test_streaming_decoding_equals_offline(attention: str, model: Callable) -> None:
    """The compiled step, block after block, against the lattice of whole recordings."""
    one, block = model(attention), 4
    encoded, _ = case(24, 1)
    expected = offline(one, encoded, block)
    step = compiled(lambda frames, state, active: decode_block(one, frames, state, active, 0.0), "compiled")
    frames, state, active = one.joint.frames(encoded), initial_state(one, 2), ops.ones((2,), "bool")
    for n in range(24 // block):
        state, out = step(frames[:, block * n : block * (n + 1)], state, active)
        labels, places = np.asarray(out["labels"]), np.asarray(out["frames"])
        for row in range(2):
            assert [v for v in labels[row].tolist() if v >= 0] == expected[row][n]
        assert np.all((places >= -LOOKBACK) & (places < block))
    assert sum(len(labels) for row in expected for labels in row) > 2


def test_a_block_hears_nothing_after_it_nor_before_its_window(joint: BlockJoint) -> None:
    encoded, states = case(16, 3)
    labels = ops.zeros((2, 2), "int32")

    def arcs(encoded: np.ndarray) -> np.ndarray:
        return np.stack([np.asarray(x) for x in joint(ops.convert_to_tensor(encoded), states, labels, block=4)])

    changed = np.array(encoded)
    changed[:, :4], changed[:, 12:] = 3.0, 3.0  # block 2 covers frames 8 to 11 and looks back to 4
    before, after = arcs(np.asarray(encoded)), arcs(changed)
    np.testing.assert_array_equal(after[:, :, 2], before[:, :, 2])
    assert np.abs(after - before)[:, :, 3].max() > 1e-4


@pytest.fixture
def batch(mel: Callable) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    arrays = {
        "frames": mel(2, 64, 1),
        "frame_lengths": np.array([64, 40], np.int32),
        "characters": rng.integers(0, 28, (2, 4)).astype(np.int32),
        "character_lengths": np.array([4, 2], np.int32),
        "pieces": rng.integers(0, 11, (2, 3)).astype(np.int32),
        "piece_lengths": np.array([3, 2], np.int32),
    }
    return {name: ops.convert_to_tensor(x) for name, x in arrays.items()}


def test_every_weight_of_the_joint_learns(attention: str, model: Callable, batch: dict[str, Any]) -> None:
    one = model(attention)
    with tf.GradientTape() as tape:
        loss = one.losses_of(batch, 8, 4, training=True)["transducer"]
    assert np.isfinite(float(loss)) and float(loss) > 0.0
    weights = one.joint.trainable_weights
    for weight, gradient in zip(weights, tape.gradient(loss, [w.value for w in weights]), strict=True):
        assert gradient is not None, weight.path
        dense = np.asarray(tf.convert_to_tensor(gradient))
        assert np.isfinite(dense).all() and np.abs(dense).max() > 0.0, weight.path


def test_half_precision_is_near(attention: str, tiny: ModelConfig, model: Callable, batch: dict[str, Any]) -> None:
    """As in training: bfloat16 in the lattice, float32 in decoding."""
    one = model(attention)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = Transducer(one.config)
    finally:
        keras.config.set_dtype_policy("float32")
    for weight, other in zip(half.trainable_weights, one.trainable_weights, strict=True):
        weight.assign(other)
    losses = (float(m.losses_of(batch, 8, 4)["transducer"]) for m in (half, one))
    assert next(losses) == pytest.approx(next(losses), rel=0.05)
    encoded, _ = case(4, 1)
    outputs = []
    for m in (half, one):
        _, out = decode_block(m, m.joint.frames(encoded), initial_state(m, 2), ops.ones((2,), "bool"), -3.0)
        outputs.append(out)
    np.testing.assert_array_equal(np.asarray(outputs[0]["labels"]), np.asarray(outputs[1]["labels"]))
    np.testing.assert_allclose(np.asarray(outputs[0]["log_probs"]), np.asarray(outputs[1]["log_probs"]), atol=1e-4)


@pytest.mark.parametrize("attention", ["additive", "mocha", "area"])
def test_context_feedback_hears_by_the_same_mechanism(attention: str, tiny: ModelConfig, randomised: Callable) -> None:
    model = Transducer(dataclasses.replace(tiny, context_feedback=True, attention=attention))
    for seed in range(2):
        randomised(model.predictor, seed)
        randomised(model.joint, seed)
    encoded, _ = case(8, 1)
    labels, counts = ops.convert_to_tensor([[3, 7, 1], [9, 2, 0]]), ops.convert_to_tensor([3, 2])
    chosen = ops.convert_to_tensor([[0, 0, 1], [1, 1, 0]])
    scored, _ = aligned_log_probs(model.joint, model.predictor, encoded, labels, counts, chosen, 4)
    windows, mask = model.joint.blocks(model.joint.frames(encoded), 4)
    for row in range(2):
        state = model.predictor.initial_state(1)
        for u in range(int(counts[row])):
            n, label = int(chosen[row, u]), labels[row, u]
            context, _ = model.joint.listen(state, windows[row : row + 1, n], mask[:, n])
            logits = model.joint.score(state, context)
            score = tf.nn.log_softmax(logits[0, 1:])[label] + tf.math.log_sigmoid(-logits[0, 0])
            assert float(scored[row, u]) == pytest.approx(float(score), abs=1e-4)
            state = model.predictor.step(label[None], state, context)


def test_the_default_has_the_weights_of_earlier_checkpoints(tiny: ModelConfig) -> None:
    assert tiny.attention == "multi_head" and tiny.encoder_attention == "windowed"
    joint = Transducer(tiny).joint
    assert [w.path for w in joint.weights] == [f"joint/{name}" for name in DEFAULT_WEIGHTS]


def test_only_those_that_compare_projections_project(model: Callable, attention: str) -> None:
    joint = model(attention).joint
    names = [w.path.split("joint/")[-1] for w in joint.trainable_weights]
    assert ("query" in names) == (attention in PROJECTED)
    assert {n for n in names if not n.startswith("mechanism/")} == set(DEFAULT_WEIGHTS) - (
        set() if attention in PROJECTED else {"query"}
    )
    assert (block_mechanism(joint_config(joint, attention)) is None) == (attention in BY_HEAD)


def joint_config(joint: BlockJoint, attention: str) -> ModelConfig:
    return ModelConfig(attention=attention, joint_dim=joint.joint_dim, predictor_dim=joint.predictor_dim)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"attention": "best"}, "attention: expected one of multi_head, additive, .*area, got 'best'"),
        ({"encoder_attention": "dot"}, "encoder_attention: expected one of windowed, area, got 'dot'"),
        ({"attention_radius": 0}, "attention_radius: expected a number above 0, got 0"),
        ({"attention_chunk": 0}, "attention_chunk: expected a number above 0, got 0"),
        ({"attention_span": -1}, "attention_span: expected a number above 0, got -1"),
        ({"attention": "dot", "joint_dim": 128}, "predictor_dim: expected joint_dim = 128, .* got 384"),
    ],
)
def test_configurations_are_checked(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**values)


def test_jax_gives_the_same_arcs(tmp_path: Path, model: Callable) -> None:
    script = HERE / "mechanisms_on_backend.py"
    encoded, states = (np.asarray(x) for x in case(16, 3))
    arrays = {"encoded": encoded, "states": states}
    for attention in BLOCK_ATTENTIONS:
        for i, weight in enumerate(model(attention).joint.trainable_weights):
            arrays[f"{attention} {i:02}"] = np.asarray(weight)
    np.savez(tmp_path / "in.npz", **arrays)
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(HERE.parents[2])}
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    command = [sys.executable, str(script), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as found:
        assert str(found["backend"]) == "jax"
        for attention in BLOCK_ATTENTIONS:
            here = run_path(str(script))["arcs"](model(attention).joint, encoded, states)
            np.testing.assert_allclose(found[attention], np.stack([np.asarray(x) for x in here]), atol=1e-4)
