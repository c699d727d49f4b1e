"""Greedy decoding inside the step against a plain loop over the logits of the whole utterance."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from asr.decoding.greedy import decode_block, initial_state, labels_limit
from asr.streaming.engine import compiled
from asr.transducer.model import Transducer

LOOKBACK = 4
NAMES = ("labels", "log_probs", "frames", "weights", "end", "done")


def utterances(batch: int, frames: int, seed: int = 0) -> np.ndarray:
    """Encoder frames [B, S, D]."""
    return np.random.default_rng(seed).normal(0, 1.5, (batch, frames, 32)).astype(np.float32)


def decode(
    model: Transducer, encoded: np.ndarray, block: int, bias: float = 0.0, mode: str = "eager"
) -> dict[str, Any]:
    """Arrays [B, N, …] of every block."""
    keys, state, found = model.joint.frames(ops.convert_to_tensor(encoded)), initial_state(model, len(encoded)), []
    step = compiled(lambda frames, state, active: decode_block(model, frames, state, active, bias), mode)
    active = ops.ones((len(encoded),), "bool")
    for start in range(0, encoded.shape[1], block):
        state, out = step(keys[:, start : start + block], state, active)
        found.append(out)
    return {name: np.stack([np.asarray(out[name]) for out in found], axis=1) for name in NAMES}


def reference(model: Transducer, encoded: np.ndarray, block: int, bias: float = 0.0) -> list[dict[str, Any]]:
    """Labels, log-probabilities, frames and end-of-block of each block of one utterance [S, D]."""
    windows, mask = model.joint.blocks(model.joint.frames(ops.convert_to_tensor(encoded[None])), block)
    state = model.predictor.initial_state(1)
    found: list[dict[str, Any]] = []
    for n in range(len(encoded) // block):
        out: dict[str, Any] = {"labels": [], "log_probs": [], "frames": [], "weights": [], "end": None}
        while True:
            logits, weights = model.joint.attend_stream(state, windows[:, n], mask[:, n])
            logits, weights = np.asarray(logits, np.float64)[0], np.asarray(weights)[0]
            end = 1.0 / (1.0 + np.exp(-(logits[0] + bias)))
            out["end"] = end if out["end"] is None else out["end"]
            if len(out["labels"]) == labels_limit(block):
                break
            out["done"] = end
            if end >= 0.5:
                break
            out["weights"].append(weights)
            share = np.exp(logits[1:]) / np.exp(logits[1:]).sum()
            out["labels"].append(int(share.argmax()))
            state = model.predictor.step(ops.full((1,), out["labels"][-1], "int32"), state)
            out["log_probs"].append(np.log((1 - end) * share.max()))
            out["frames"].append(int(weights.mean(0).argmax()) - LOOKBACK)
        found.append(out)
    return found


def check(result: dict[str, Any], row: int, expected: list[dict[str, Any]]) -> None:
    for n, block in enumerate(expected):
        count = len(block["labels"])
        assert result["labels"][row, n, :count].tolist() == block["labels"]
        assert np.all(result["labels"][row, n, count:] == -1)
        np.testing.assert_allclose(result["log_probs"][row, n, :count], block["log_probs"], atol=1e-4)
        assert result["frames"][row, n, :count].tolist() == block["frames"]
        if count:
            np.testing.assert_allclose(result["weights"][row, n, :count], block["weights"], atol=1e-5)
        assert not result["weights"][row, n, count:].any()
        for name in ("end", "done"):
            assert result[name][row, n] == pytest.approx(block[name], abs=1e-4)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("block", [2, 4, 8])
def test_equals_a_plain_loop_over_whole_utterances(block: int, seed: int, make_model: Callable) -> None:
    model, encoded = make_model(seed), utterances(2, 24, seed)
    expected = [reference(model, row, block) for row in encoded]
    result = decode(model, encoded, block)
    for row in range(2):
        check(result, row, expected[row])
    counts = {len(out["labels"]) for blocks in expected for out in blocks}
    assert len(counts) > 1  # blocks with and without labels: the loop ends in more ways than one


@pytest.mark.parametrize("mode", ["graph", "compiled"])
def test_compiled_decoding_is_the_same(mode: str, make_model: Callable) -> None:
    model, encoded = make_model(1), utterances(3, 24, 1)
    expected, result = decode(model, encoded, 8), decode(model, encoded, 8, mode=mode)
    for name in ("labels", "frames"):
        np.testing.assert_array_equal(result[name], expected[name])
    for name in ("log_probs", "weights", "end", "done"):
        np.testing.assert_allclose(result[name], expected[name], atol=1e-4)


def test_other_rows_change_nothing(make_model: Callable) -> None:
    """Rows that say much or nothing share the loop."""
    model, encoded = make_model(0), utterances(4, 24)
    together = decode(model, encoded, 8)
    for row in range(4):
        check(together, row, reference(model, encoded[row], 8))
    turned = decode(model, encoded[::-1].copy(), 8)
    np.testing.assert_array_equal(turned["labels"][::-1], together["labels"])


@pytest.fixture(scope="module")
def undisturbed(make_model: Callable) -> tuple[Transducer, Callable, np.ndarray, np.ndarray]:
    """A model, its step, keys and values of two utterances, and their labels block by block."""
    model, encoded = make_model(0), utterances(2, 8 * 6)
    step = compiled(lambda frames, state, active: decode_block(model, frames, state, active, 0.0), "graph")
    keys = np.asarray(model.joint.frames(ops.convert_to_tensor(encoded)))
    return model, step, keys, decode(model, encoded, 8)["labels"]


@settings(max_examples=15)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=6))
def test_inactive_streams_keep_their_state(undisturbed: tuple, turns: list[tuple[bool, bool]]) -> None:
    """Streams that pause give what they give without pauses, and nothing while they pause."""
    model, step, keys, expected = undisturbed
    state, taken = initial_state(model, 2), [0, 0]
    for turn in turns:
        blocks = np.stack([keys[row, 8 * taken[row] : 8 * taken[row] + 8] for row in range(2)])
        before = {name: np.asarray(value) for name, value in state.items()}
        state, out = step(ops.convert_to_tensor(blocks), state, ops.convert_to_tensor(turn))
        for row in range(2):
            labels = np.asarray(out["labels"])[row]
            if turn[row]:
                np.testing.assert_array_equal(labels, expected[row, taken[row]])
                taken[row] += 1
            else:
                assert np.all(labels == -1)
                for name, value in state.items():
                    np.testing.assert_array_equal(np.asarray(value)[row], before[name][row])


@pytest.mark.parametrize(("block", "limit"), [(1, 1), (2, 2), (4, 4), (8, 7)])
def test_labels_of_a_block_have_a_limit(block: int, limit: int, make_model: Callable) -> None:
    model, encoded = make_model(0), utterances(2, 2 * block)
    result = decode(model, encoded, block, bias=-100.0)
    assert result["labels"].shape == (2, 2, limit)
    assert np.all(result["labels"] >= 0)
    check(result, 0, reference(model, encoded[0], block, bias=-100.0))


def test_end_bias_says_less(make_model: Callable) -> None:
    model, encoded = make_model(0), utterances(3, 24)
    counts = [int(np.sum(decode(model, encoded, 8, bias=bias)["labels"] >= 0)) for bias in (-100.0, 0.0, 100.0)]
    assert counts[0] > counts[1] > counts[2] == 0


def test_state_keeps_its_size(make_model: Callable) -> None:
    model, state = make_model(0), initial_state(make_model(0), 2)
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    for block in (2, 8):
        keys = model.joint.frames(ops.convert_to_tensor(utterances(2, block)))
        for _ in range(3):
            state, _ = decode_block(model, keys, state, ops.ones((2,), "bool"), 0.0)
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes
    assert np.asarray(state["seen"]).tolist() == [LOOKBACK, LOOKBACK]
