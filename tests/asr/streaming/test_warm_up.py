"""Programs that are compiled beside the steps: none is missing, and no result changes."""

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from asr.model_folder import load_model
from asr.streaming.slots import SlotEngine
from asr.streaming.warm_up import BackgroundWarmUp

CHUNK_MS = 160


class Compiles:
    """Stands for an engine: which programs it was told to compile."""

    def __init__(self, broken: tuple[int, int] | None = None) -> None:
        self.engines = {(chunk_ms, size): None for chunk_ms in (160, 320) for size in (1, 2, 4)}
        self.essential = [(160, 4), (320, 4)]
        self.compiled: list[tuple[int, int]] = []
        self.threads: set[str] = set()
        self.broken = broken

    def warm_up(self, progress: Callable[..., None], programs: Iterable[tuple[int, int]]) -> None:
        for program in programs:
            if program == self.broken:
                raise MemoryError("none left")
            self.compiled.append(program)
            self.threads.add(threading.current_thread().name)
            progress(*program, 0.0)


def warm(engine: Any, progress: Callable[..., None] = lambda *told: None) -> BackgroundWarmUp:
    return BackgroundWarmUp(engine, progress)


def test_the_rest_is_compiled_in_a_thread() -> None:
    engine, told = Compiles(), []
    rest = warm(engine, lambda *program: told.append(program))
    assert engine.compiled == []
    rest.start()
    rest.join()
    assert engine.compiled == [(160, 1), (160, 2), (320, 1), (320, 2)]
    assert told == [(*program, 0.0) for program in engine.compiled]
    assert engine.threads == {"warm-up"}


def test_on_jax_it_is_compiled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    engine = Compiles()
    rest = warm(engine)
    rest.start()
    assert len(engine.compiled) == 4
    assert engine.threads == {threading.current_thread().name}
    rest.stop()


def test_one_that_cannot_be_compiled_does_not_keep_the_others_away(caplog: pytest.LogCaptureFixture) -> None:
    engine = Compiles(broken=(160, 2))
    rest = warm(engine)
    with caplog.at_level(logging.ERROR):
        rest.start()
        rest.join()
    assert engine.compiled == [(160, 1), (320, 1), (320, 2)]
    assert "the step of 160 ms for 2 streams cannot be compiled" in caplog.text


def test_stop_ends_after_the_program_at_hand() -> None:
    engine = Compiles()
    compiling, stopping = threading.Event(), threading.Event()

    def progress(*program: object) -> None:
        compiling.set()
        assert stopping.wait(30)

    rest = warm(engine, progress)
    rest.start()
    assert compiling.wait(30)
    ender = threading.Thread(target=rest.stop)
    rest._stopping.set()
    ender.start()
    stopping.set()
    ender.join(30)
    assert not ender.is_alive()
    assert engine.compiled == [(160, 1)]


def test_stop_before_start_is_harmless() -> None:
    warm(Compiles()).stop()


def test_steps_before_and_beside_it_give_the_same(model_folder: Path, make_audio: Callable) -> None:
    """Two engines: one takes its steps while the small program is compiled in the thread."""
    model, _ = load_model(model_folder)
    engines = [SlotEngine(model, [CHUNK_MS], 3, (1, 3)) for _ in range(2)]
    beside, alone = engines
    assert beside.essential == [(CHUNK_MS, 3)]
    beside.warm_up(programs=beside.essential)
    alone.warm_up()
    chunk = beside.engine(CHUNK_MS)
    steps = 8
    sound = make_audio(3.0, 1)[: steps * chunk.samples].reshape(steps, 1, -1)
    valid = np.full(1, chunk.frames, np.int32)
    rest = warm(beside)
    found: list[list[dict[str, np.ndarray]]] = [[], []]
    for n in range(steps):
        if n == 2:
            rest.start()
        if n == 6:
            rest.join()
        for engine, outs in zip(engines, found, strict=True):
            outs.append(engine.step(CHUNK_MS, [1], sound[n], valid, np.array([n == 0])))
    assert any((out["labels"] >= 0).any() for out in found[1])
    for mine, other in zip(*found, strict=True):
        np.testing.assert_array_equal(mine["labels"], other["labels"])
        np.testing.assert_allclose(mine["log_probs"], other["log_probs"], atol=1e-4)
