"""The compiled step: rows do not know of each other, state stays where no chunk came, and every mode agrees."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from asr.decoding.beam import BeamConfig, BeamSearch
from asr.decoding.greedy import MAX_LABELS, GreedySearch
from asr.errors import AsrError
from asr.model_folder import load_model
from asr.streaming.engine import Engine, chunk_frames, compiled, decode_chunk

OUTPUTS = ("labels", "log_probs", "frames", "end")
CHUNK_MS = 1280  # two blocks a chunk
SAMPLES = CHUNK_MS * 16
Outputs = list[dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def transducer(model_folder: Path) -> Any:
    return load_model(model_folder)[0]


@pytest.fixture(scope="module")
def engine(transducer: Any) -> Engine:
    return Engine(transducer, CHUNK_MS, 3)


def values_of(state: Any) -> list[np.ndarray]:
    return [np.asarray(value) for value in keras.tree.flatten(state)]


def run(engine: Engine, rows: dict[int, np.ndarray], state: Any = None, skip: int = 0) -> tuple[Any, Outputs]:
    """Steps through the audio of some rows; the others have none. The first step starts new streams."""
    steps = max(len(samples) for samples in rows.values()) // engine.samples
    state, found = engine.initial_state() if state is None else state, []
    for n in range(skip, steps):
        chunk = np.zeros((engine.rows, engine.samples), np.float32)
        valid, reset = np.zeros(engine.rows, np.int32), np.zeros(engine.rows, bool)
        for row, samples in rows.items():
            part = samples[n * engine.samples : (n + 1) * engine.samples]
            if len(part) == engine.samples:
                chunk[row], valid[row], reset[row] = part, engine.frames, n == 0
        state, out = engine.step(state, chunk, valid, reset)
        found.append(out)
    return state, found


def row_of(found: Outputs, row: int, steps: int) -> dict[str, np.ndarray]:
    return {name: np.stack([out[name][row] for out in found[:steps]]) for name in OUTPUTS}


def check_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    for name in ("labels", "frames"):
        np.testing.assert_array_equal(one[name], other[name])
    for name in ("log_probs", "end"):
        np.testing.assert_allclose(one[name], other[name], atol=1e-4)


def test_a_stream_is_the_same_in_any_row_and_company(engine: Engine, make_audio: Callable) -> None:
    sounds = [make_audio(seconds, seed) for seconds, seed in ((7.68, 1), (5.12, 2), (6.4, 3))]
    counts = [len(sound) // SAMPLES for sound in sounds]
    alone = [row_of(run(engine, {0: sound})[1], 0, n) for sound, n in zip(sounds, counts, strict=True)]
    assert all((found["labels"] >= 0).any() for found in alone)
    assert not np.array_equal(alone[0]["labels"][:4], alone[1]["labels"][:4])  # or rows might be mixed up unseen
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        _, found = run(engine, {row: sounds[i] for row, i in enumerate(order)})
        for row, i in enumerate(order):
            check_same(row_of(found, row, counts[i]), alone[i])


@pytest.mark.parametrize("beam", [1, 3])
def test_a_chunk_of_many_blocks_is_searched_in_a_loop(
    transducer: Any, monkeypatch: pytest.MonkeyPatch, beam: int
) -> None:
    """Block after block with the same results; the program holds the search once, not a copy for each block."""
    search = GreedySearch(transducer) if beam == 1 else BeamSearch(transducer, BeamConfig(beam))
    traced, block = [], search.block
    monkeypatch.setattr(search, "block", lambda *given: traced.append(1) or block(*given))
    decode = compiled(partial(decode_chunk, search), "compiled")
    frames = np.random.default_rng(1).normal(size=(2, 32, transducer.config.dim)).astype(np.float32)
    keys, valid = transducer.joint.frames(frames), np.array([32, 20], np.int32)
    none = np.float32(0), None, np.zeros(2, np.int32)
    _, found = decode(keys, search.initial_state(2), valid, *none)
    assert len(traced) == 1
    state = search.initial_state(2)
    for n in range(4):
        state, expected = decode(keys[:, 8 * n : 8 * n + 8], state, np.clip(valid - 8 * n, 0, 8), *none)
        for name, value in expected.items():
            value = np.asarray(value)[:, 0] + (8 * n if name == "frames" else 0)
            np.testing.assert_allclose(found[name][:, n], value, atol=1e-4)
    assert (np.asarray(found["labels"]) >= 0).any()


def test_a_used_row_is_as_new(engine: Engine, make_audio: Callable) -> None:
    first, second = make_audio(5.12, 1), make_audio(5.12, 2)
    expected = row_of(run(engine, {1: second})[1], 1, 4)
    state, _ = run(engine, {0: first, 1: first, 2: first})
    _, found = run(engine, {1: second}, state)
    for name in OUTPUTS:
        np.testing.assert_array_equal(row_of(found, 1, 4)[name], expected[name])


def test_rows_without_a_chunk_keep_their_state(engine: Engine, make_audio: Callable) -> None:
    """Bit by bit, also where reset or samples are set by mistake for another's chunk."""
    sound = make_audio(6.4, 1)
    state, _ = run(engine, {0: sound, 1: make_audio(6.4, 2), 2: make_audio(6.4, 3)})
    chunk = np.stack([make_audio(1.28, seed) for seed in (4, 5, 6)])
    following, out = engine.step(state, chunk, np.array([0, 16, 0], np.int32), np.zeros(3, bool))
    before, after = values_of(state), values_of(following)
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old[[0, 2]], new[[0, 2]])
    assert any(not np.array_equal(old[1], new[1]) for old, new in zip(before, after, strict=True))
    assert np.all(out["labels"][[0, 2]] == -1)


def test_a_pause_changes_nothing(engine: Engine, make_audio: Callable) -> None:
    sound, other = make_audio(6.4, 1), make_audio(3.84, 2)
    expected = row_of(run(engine, {0: sound})[1], 0, 5)
    state, found = run(engine, {0: sound[: 2 * SAMPLES]})
    state, _ = run(engine, {1: other}, state)  # meanwhile another stream starts
    _, rest = run(engine, {0: sound}, state, skip=2)
    check_same(row_of(found + rest, 0, 5), expected)


def test_what_comes_later_changes_nothing_before(engine: Engine, make_audio: Callable) -> None:
    sound = make_audio(7.68, 1)
    for chunks in (1, 3, 5):
        other = sound.copy()
        other[chunks * SAMPLES :] = make_audio(7.68, 9)[chunks * SAMPLES :]
        one, two = (row_of(run(engine, {0: samples})[1], 0, 6) for samples in (sound, other))
        for name in OUTPUTS:
            np.testing.assert_array_equal(one[name][:chunks], two[name][:chunks])
        assert not np.array_equal(one["end"][chunks:], two["end"][chunks:])


def test_samples_past_the_end_change_nothing(engine: Engine, make_audio: Callable) -> None:
    """A chunk of which one block exists: the other block's samples are not heard."""
    sound = make_audio(3.84, 1)
    state, _ = run(engine, {0: sound[: 2 * SAMPLES]})
    found = []
    for filled in (np.zeros(SAMPLES // 2, np.float32), make_audio(0.64, 8)):
        chunk = np.zeros((3, SAMPLES), np.float32)
        chunk[0] = np.concatenate([sound[2 * SAMPLES :][: SAMPLES // 2], filled])
        found.append(engine.step(state, chunk, np.array([8, 0, 0], np.int32), np.zeros(3, bool))[1])
    for name in OUTPUTS:
        np.testing.assert_array_equal(found[0][name][0, 0], found[1][name][0, 0])
    assert np.all(found[0]["labels"][0, 1] == -1)
    assert np.all(found[1]["labels"][0, 1] == -1)


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_every_mode_agrees(engine: Engine, transducer: Any, make_audio: Callable, mode: str) -> None:
    rows = {0: make_audio(6.4, 1), 2: make_audio(3.84, 3)}
    expected, found = run(engine, rows), run(Engine(transducer, CHUNK_MS, 3, mode), rows)
    for row, steps in ((0, 5), (2, 3)):
        check_same(row_of(found[1], row, steps), row_of(expected[1], row, steps))
    for one, other in zip(values_of(found[0]), values_of(expected[0]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)  # of keys and values, which are of size 10


def test_end_bias_decides_how_much_is_said(engine: Engine, make_audio: Callable) -> None:
    chunk = np.stack([make_audio(1.28, seed) for seed in (1, 2, 3)])
    counts = []
    for bias in (-1000.0, 0.0, 1000.0):
        valid, reset = np.full(3, 16, np.int32), np.ones(3, bool)
        _, out = engine.step(engine.initial_state(), chunk, valid, reset, bias)
        counts.append(int((out["labels"] >= 0).sum()))
    assert counts[0] == 3 * 2 * MAX_LABELS > counts[1] > counts[2] == 0


def test_outputs_have_their_shapes(engine: Engine) -> None:
    zeros = np.zeros((3, SAMPLES), np.float32)
    state, out = engine.step(engine.initial_state(), zeros, np.full(3, 16, np.int32), np.ones(3, bool))
    assert {name: out[name].shape for name in out} == {
        "labels": (3, 2, MAX_LABELS),
        "log_probs": (3, 2, MAX_LABELS),
        "frames": (3, 2, MAX_LABELS),
        "weights": (3, 2, MAX_LABELS, 2, 4 + 8),
        "end": (3, 2),
        "done": (3, 2),
    }
    assert [v.shape for v in values_of(state)] == [v.shape for v in values_of(engine.initial_state())]


@pytest.mark.parametrize("shape", [(2, SAMPLES), (3, SAMPLES - 1), (3, SAMPLES, 1), (SAMPLES,)])
def test_samples_of_another_shape_are_an_error(engine: Engine, shape: tuple[int, ...]) -> None:
    with pytest.raises(AsrError, match=rf"expected samples of shape \[3, {SAMPLES}\], got \[.*\]"):
        engine.step(engine.initial_state(), np.zeros(shape, np.float32), np.zeros(3, np.int32), np.zeros(3, bool))


@pytest.mark.parametrize(
    ("chunk_ms", "frames"), [(160, 2), (320, 4), (640, 8), (1280, 16), (15_360, 192), (20_480, 256)]
)
def test_chunks_that_are_served(chunk_ms: int, frames: int) -> None:
    assert chunk_frames(chunk_ms) == frames


@pytest.mark.parametrize("chunk_ms", [0, -640, 80, 480, 641, 960, 21_120])
def test_chunks_that_are_not_served(chunk_ms: int) -> None:
    with pytest.raises(AsrError, match=rf"chunk_ms: expected .* got {chunk_ms}$"):
        chunk_frames(chunk_ms)


def test_unknown_mode_is_an_error() -> None:
    with pytest.raises(AsrError, match=r"expected a mode that tensorflow has .*got 'quick'"):
        compiled(lambda x: x, "quick")
