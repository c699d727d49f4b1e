"""Slots against the engine on which they stand: any subset, any order, any company."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.errors import AsrError
from asr.model_folder import load_model
from asr.streaming.engine import Engine
from asr.streaming.slots import SlotEngine

CHUNK_MS, SLOTS, STEPS = 160, 5, 6


@pytest.fixture(scope="module")
def engines(model_folder: Path) -> tuple[SlotEngine, Engine]:
    model, _ = load_model(model_folder)
    return SlotEngine(model, [CHUNK_MS], SLOTS, (1, 4)), Engine(model, CHUNK_MS, 1)


@pytest.fixture(scope="module")
def chunks(make_audio: Callable, engines: tuple[SlotEngine, Engine]) -> np.ndarray:
    """[stream, step, samples]."""
    samples = engines[1].samples
    return np.stack([make_audio(2.0, seed)[: STEPS * samples].reshape(STEPS, samples) for seed in range(SLOTS)])


def alone(engine: Engine, chunks: np.ndarray) -> list[dict[str, np.ndarray]]:
    state, found = engine.initial_state(), []
    for n, chunk in enumerate(chunks):
        frames = np.full(1, engine.frames, np.int32)
        state, out = engine.step(state, chunk[None], frames, np.array([n == 0]))
        found.append({name: value[0] for name, value in out.items()})
    return found


def test_without_look_ahead_a_step_waits_for_its_chunk_alone(engines: tuple[SlotEngine, Engine]) -> None:
    assert (engines[0].lookahead_ms, engines[1].lookahead_ms) == (0, 0)
    assert engines[1].samples == engines[1].chunk_samples == 16 * CHUNK_MS


def test_every_slot_equals_a_stream_alone(engines: tuple[SlotEngine, Engine], chunks: np.ndarray) -> None:
    """Streams advance in random groups; slots are used again after another stream."""
    slots, engine = engines
    rng = np.random.default_rng(1)
    expected = [alone(engine, stream) for stream in chunks]
    assert any((out["labels"] >= 0).any() for outs in expected for out in outs)
    for _ in range(2):
        order, done = rng.permutation(SLOTS), np.zeros(SLOTS, int)  # stream i is in slot order[i]
        while (done < STEPS).any():
            ready = rng.permutation(np.flatnonzero(done < STEPS))[: rng.integers(1, 5)]
            samples = np.stack([chunks[i, done[i]] for i in ready])
            valid = np.full(len(ready), engine.frames, np.int32)
            out = slots.step(CHUNK_MS, [int(order[i]) for i in ready], samples, valid, done[ready] == 0)
            for row, i in enumerate(ready):
                for name in ("labels", "frames"):
                    np.testing.assert_array_equal(out[name][row], expected[i][done[i]][name])
                np.testing.assert_allclose(out["log_probs"][row], expected[i][done[i]]["log_probs"], atol=1e-4)
            done[ready] += 1


def test_warm_up_tells_of_every_step_and_changes_no_slot(
    engines: tuple[SlotEngine, Engine], chunks: np.ndarray
) -> None:
    slots, engine = engines
    valid, fresh = np.full(1, engine.frames, np.int32), np.array([True])
    slots.step(CHUNK_MS, [2], chunks[0, :1], valid, fresh)
    told: list[tuple[int, int]] = []
    slots.warm_up(lambda chunk_ms, batch, seconds: told.append((chunk_ms, batch)))
    assert told == [(CHUNK_MS, 1), (CHUNK_MS, 4)]
    out = slots.step(CHUNK_MS, [2], chunks[0, 1:2], valid, ~fresh)
    np.testing.assert_array_equal(out["labels"][0], alone(engine, chunks[0])[1]["labels"])


@pytest.mark.parametrize("wrong", [[], [0, 0], [SLOTS], [-1], [0, 1, 2, 3, 4]])
def test_wrong_slots_are_errors(engines: tuple[SlotEngine, Engine], wrong: list[int]) -> None:
    n = len(wrong)
    inputs = np.zeros((n, engines[1].samples), np.float32), np.zeros(n, np.int32), np.zeros(n, bool)
    with pytest.raises(AsrError, match="expected 1 to 4 different slots below 5"):
        engines[0].step(CHUNK_MS, wrong, *inputs)


def test_wrong_sizes_are_errors(engines: tuple[SlotEngine, Engine], model_folder: Path) -> None:
    slots, engine = engines
    inputs = np.zeros((1, engine.samples), np.float32), np.zeros(1, np.int32), np.zeros(1, bool)
    with pytest.raises(AsrError, match="chunk_ms: expected one of 160, got 320"):
        slots.step(320, [0], *inputs)
    for arguments in (([160], 0), ([], 1), ([160], 1, ())):
        with pytest.raises(AsrError, match="expected a slot, a chunk and a batch size or more"):
            SlotEngine(slots.engine(160).model, *arguments)
