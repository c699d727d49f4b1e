"""The exported programs against the compiled step: the same labels, whoever shares the batch; int8 weights, too."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.config import ModelConfig
from asr.decoding.beam import BeamConfig, BeamSearch
from asr.engine_kind import EngineKind
from asr.errors import AsrError
from asr.lite import export
from asr.model_folder import load_model
from asr.streaming.engine import Engine
from asr.streaming.engines import make_engine
from asr.streaming.lite_engine import LiteEngine
from asr.streaming.phrase_lists import PhraseLists
from asr.streaming.recognizer import Recognizer
from asr.streaming.slots import SlotEngine
from asr.transducer.model import Transducer

CHUNK_MS, ROWS, STEPS = 320, 2, 12


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Transducer:
    return load_model(model_folder)[0]


@pytest.fixture(scope="module")
def engines(model: Transducer) -> dict[EngineKind, Engine | LiteEngine]:
    return {kind: make_engine(kind, model, CHUNK_MS, ROWS) for kind in EngineKind if kind is not EngineKind.auto}


@pytest.fixture(scope="module")
def chunks(make_audio: Callable, engines: dict[EngineKind, Engine | LiteEngine]) -> np.ndarray:
    """[stream, step, samples] of three streams."""
    samples = engines[EngineKind.xla].samples
    return np.stack([make_audio(5.0, seed)[: STEPS * samples].reshape(STEPS, samples) for seed in (1, 2, 3)])


def run(engine: Engine | LiteEngine, rows: dict[int, np.ndarray], late: int = 0) -> dict[str, np.ndarray]:
    """Outputs of every step, [step, row, …]; row 1 begins `late` steps after row 0."""
    state, found = engine.initial_state(), []
    for n in range(STEPS):
        samples = np.zeros((ROWS, engine.samples), np.float32)
        valid, reset = np.zeros(ROWS, np.int32), np.zeros(ROWS, bool)
        for row, chunks in rows.items():
            first = late if row == 1 else 0
            if n >= first:
                samples[row], valid[row], reset[row] = chunks[n - first], engine.frames, n == first
        state, out = engine.step(state, samples, valid, reset)
        found.append(out)
    return {name: np.stack([out[name] for out in found]) for name in found[0]}


def test_the_float_export_equals_the_compiled_step(engines: dict, chunks: np.ndarray) -> None:
    rows = {0: chunks[0], 1: chunks[1]}
    expected, found = run(engines[EngineKind.xla], rows, 3), run(engines[EngineKind.litert], rows, 3)
    assert (expected["labels"] >= 0).sum() > 20
    for name in ("labels", "frames"):
        np.testing.assert_array_equal(found[name], expected[name])
    said = expected["labels"] >= 0
    for name in ("log_probs", "weights", "end", "done"):
        np.testing.assert_allclose(found[name], expected[name], atol=2e-3)
    assert said.sum(-1).max() > 1  # several labels of a block


@pytest.mark.parametrize("kind", [EngineKind.litert, EngineKind.litert_int8])
def test_no_row_depends_on_another(engines: dict, chunks: np.ndarray, kind: EngineKind) -> None:
    """Bit by bit, with int8 weights, too: what they are multiplied with is quantised row by row."""
    engine = engines[kind]
    one = run(engine, {0: chunks[0], 1: chunks[1]}, 2)
    other = run(engine, {0: 4.0 * chunks[2], 1: chunks[1]}, 2)
    for name in one:
        np.testing.assert_array_equal(one[name][:, 1], other[name][:, 1])
    assert not np.array_equal(one["end"][:, 0], other["end"][:, 0])
    alone = run(engine, {1: chunks[1]}, 0)
    for name in ("labels", "log_probs", "end"):
        np.testing.assert_array_equal(alone[name][: STEPS - 2, 1], one[name][2:, 1])


def test_the_batch_s_size_changes_nothing(engines: dict, model: Transducer, chunks: np.ndarray) -> None:
    """A stream that another worker takes up may be computed with more or fewer others than before."""
    beside = run(engines[EngineKind.litert_int8], {0: chunks[0], 1: chunks[1]})
    engine = make_engine(EngineKind.litert_int8, model, CHUNK_MS, 1)
    state = engine.initial_state()
    for n in range(STEPS):
        state, out = engine.step(state, chunks[:1, n], np.full(1, 4, np.int32), np.full(1, n == 0))
        np.testing.assert_array_equal(out["labels"][0], beside["labels"][n, 0])
        # Rounding to eight bits would make more of any difference.
        np.testing.assert_allclose(out["log_probs"][0], beside["log_probs"][n, 0], atol=1e-5)


def test_int8_weights_are_near(engines: dict, chunks: np.ndarray) -> None:
    """Of what the encoder gives; labels of random weights tell nothing, since they follow from small differences."""
    found = []
    for kind in (EngineKind.litert, EngineKind.litert_int8):
        at = engines[kind].initial_state()["encoder"]
        steps = [engines[kind].encoder(at, chunks[:2, n], np.full(2, 4), np.full(2, n == 0)) for n in range(STEPS)]
        found.append(np.stack(steps))
    difference = np.linalg.norm(found[1] - found[0]) / np.linalg.norm(found[0])
    assert 0.0 < difference < 0.1
    ring = engines[EngineKind.litert].encoder.ring
    exact, near = (export.export_encoder(ring, 32, precision) for precision in export.Precision)
    assert len(near) < 0.6 * len(exact)


def test_slots_of_several_chunk_sizes(model: Transducer, chunks: np.ndarray) -> None:
    """Streams of 320 and of 1280 ms share slots, whose rings are as large as the larger chunk wants."""
    slots = SlotEngine(model, [320, 1280], 3, (1, 2), kind=EngineKind.litert)
    alone = {chunk_ms: make_engine(EngineKind.litert, model, chunk_ms, 1) for chunk_ms in (320, 1280)}
    for slot, chunk_ms, stream in ((2, 320, 0), (2, 1280, 1), (0, 320, 2)):  # slot 2 is used again, by another size
        engine = alone[chunk_ms]
        state = engine.initial_state()
        sound = chunks[stream].reshape(-1)
        for n in range(len(sound) // engine.samples):
            part = sound[None, n * engine.samples :][:, : engine.samples]
            inputs = part, np.full(1, engine.frames, np.int32), np.array([n == 0])
            state, expected = engine.step(state, *inputs)
            found = slots.step(chunk_ms, [slot], *inputs)
            np.testing.assert_array_equal(found["labels"], expected["labels"])
            np.testing.assert_allclose(found["log_probs"], expected["log_probs"], atol=1e-4)


def test_the_recogniser_takes_it(
    model_folder: Path, recogniser: Callable[..., Recognizer], make_audio: Callable
) -> None:
    sound = make_audio(6.0, 4)
    found = Recognizer(model_folder, CHUNK_MS, engine="litert").transcribe(sound)
    assert found.text == recogniser(CHUNK_MS).transcribe(sound).text != ""
    with pytest.raises(AsrError, match="engine: expected one of xla, litert, litert-int8, auto, got 'fast'"):
        Recognizer(model_folder, engine="fast")


@pytest.mark.parametrize("attention", ["local_p", "mocha"])
def test_joints_with_another_mechanism_are_decoded_by_the_compiled_search(
    tiny: ModelConfig, randomised: Callable, chunks: np.ndarray, attention: str
) -> None:
    model = Transducer(dataclasses.replace(tiny, attention=attention, vocabulary=32))
    randomised(model, 0)
    model.joint.output_bias.assign(np.full(33, -0.2))
    exact, found = (run(make_engine(kind, model, CHUNK_MS, ROWS), {0: chunks[0]}) for kind in list(EngineKind)[:2])
    assert (exact["labels"] >= 0).any()
    for name in ("labels", "frames"):
        np.testing.assert_array_equal(found[name], exact[name])
    np.testing.assert_allclose(found["weights"], exact["weights"], atol=2e-3)


def test_phrases_are_followed(model: Transducer, model_folder: Path, chunks: np.ndarray) -> None:
    tokenizer = load_model(model_folder)[1]
    lists = PhraseLists(tokenizer, 2, 50.0)
    place = lists.take(["the cat", "hat"])
    found = []
    for kind in (EngineKind.xla, EngineKind.litert):
        slots = SlotEngine(model, [CHUNK_MS], 2, (2,), phrases=lists, kind=kind)
        slots.warm_up()
        for n in range(STEPS):
            first = np.full(2, n == 0)
            given = chunks[:2, n], np.full(2, 4, np.int32), first, np.array([place, 0], np.int32)
            found.append(slots.step(CHUNK_MS, [0, 1], *given)["labels"])
    np.testing.assert_array_equal(np.stack(found[:STEPS]), np.stack(found[STEPS:]))


def test_phrases_of_one_row_change_no_other(engines: dict, model_folder: Path, chunks: np.ndarray) -> None:
    """Bit by bit, although int8 weights decode the rows without phrases only."""
    lists = PhraseLists(load_model(model_folder)[1], 1, 50.0)
    places, engine = (
        (np.array([0, lists.take(["the cat"])], np.int32), np.zeros(ROWS, np.int32)),
        engines["litert-int8"],
    )
    found = []
    for place in places:
        state = engine.initial_state()
        for n in range(4):
            given = chunks[:2, n], np.full(2, 4, np.int32), np.full(2, n == 0)
            state, out = engine.step(state, *given, phrases=lists.tables, lists=place)
            found.append(out)
    for with_phrases, without in zip(found[:4], found[4:], strict=True):
        for name, values in without.items():
            np.testing.assert_array_equal(with_phrases[name][0], values[0])
    assert any(not np.array_equal(a["labels"][1], b["labels"][1]) for a, b in zip(found[:4], found[4:], strict=True))


@pytest.mark.parametrize("ctc_weight", [0.0, 0.5])
def test_a_beam_searches_on_it(model: Transducer, chunks: np.ndarray, ctc_weight: float) -> None:
    rows, found = {0: chunks[0]}, []
    for kind in (EngineKind.xla, EngineKind.litert):
        search = BeamSearch(model, BeamConfig(beam=3, ctc_weight=ctc_weight))
        found.append(run(make_engine(kind, model, CHUNK_MS, ROWS, search=search), rows))
    np.testing.assert_array_equal(found[0]["labels"][:, 0], found[1]["labels"][:, 0])
    np.testing.assert_allclose(found[0]["scores"][:, 0], found[1]["scores"][:, 0], rtol=1e-3, atol=1e-2)


def test_programs_are_kept(tmp_path: Path) -> None:
    environment, made = {"EARSHOT_CACHE": str(tmp_path)}, []

    def make() -> bytes:
        made.append(1)
        return b"program"

    for _ in range(2):
        assert export.kept("one", make, environment) == b"program"
    assert made == [1]
    (file,) = tmp_path.rglob("one.tflite")
    file.write_bytes(b"damaged")
    assert export.kept("one", make, environment) == b"program"
    assert made == [1, 1]
    file.with_name(f"{file.name}.sha256").unlink()
    assert export.kept("one", make, environment) == export.kept("one", make, environment) == b"program"
    assert made == [1, 1, 1]
    assert export.kept("one", make, {"EARSHOT_CACHE": "off"}) == b"program"
    assert made == [1, 1, 1, 1]


def test_other_weights_have_other_names(model: Transducer, make_model: Callable[..., Transducer]) -> None:
    assert export.fingerprint(model) == export.fingerprint(model) != export.fingerprint(make_model(0))


def test_other_windows_and_other_code_have_other_names(model: Transducer, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weight shows how far attention looks back, nor what our code does with it."""
    names = [export.fingerprint(model)]
    monkeypatch.setattr(model, "config", dataclasses.replace(model.config, left_frames=4))
    names.append(export.fingerprint(model))
    monkeypatch.setattr(export.program_cache, "code_digest", lambda: "another version")
    names.append(export.fingerprint(model))
    assert len(set(names)) == 3


def test_without_litert_it_says_what_to_install(model: Transducer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ai_edge_litert", "ai_edge_litert.interpreter"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(AsrError, match=r"LiteRT is not installed; it needs: pip install 'earshot\[litert\]'"):
        make_engine(EngineKind.litert, model, CHUNK_MS, 1)
