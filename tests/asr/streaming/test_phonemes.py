"""Phonemes' log-probabilities of streams: those of whole recordings, on every engine, beside the greedy labels."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from asr.config import ModelConfig
from asr.decoding.greedy import GreedySearch
from asr.decoding.heads import Head
from asr.decoding.phonemes import PhonemeSearch
from asr.engine_kind import EngineKind
from asr.features import log_mel
from asr.lite.export import fingerprint
from asr.model_folder import load_model
from asr.streaming.engine import Engine
from asr.streaming.engines import AnyEngine, make_engine
from asr.streaming.phrase_lists import PhraseLists
from asr.streaming.slots import SlotEngine
from asr.transducer.model import Transducer

PHONEMES, ROWS = 5, 2
LITE = (EngineKind.litert, EngineKind.litert_int8)
GREEDY = {"labels", "log_probs", "frames", "weights", "end", "done"}
Outputs = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def make_hearing(model_folder: Path, randomised: Callable) -> Callable[..., Transducer]:
    """The random model that emits labels, with a phoneme head and other changes."""

    def make(**changes: object) -> Transducer:
        source = load_model(model_folder)[0]
        model = Transducer(dataclasses.replace(source.config, phonemes=PHONEMES, **changes))
        randomised(model, 3)
        weights = {weight.path: weight for weight in model.weights}
        for weight in source.weights:
            weights[weight.path].assign(weight)
        return model

    return make


def search_of(model: Transducer) -> PhonemeSearch:
    """Nobody searches for words here."""
    return PhonemeSearch(model, None)


@pytest.fixture(scope="module")
def model(make_hearing: Callable[..., Transducer]) -> Transducer:
    return make_hearing()


def run(engine: AnyEngine, sounds: list[np.ndarray]) -> Outputs:
    """Outputs of all blocks, [row, block, …]; a row without sound any more has no chunk, its last is rounded up."""
    unit, state, found = 1280 * engine.block, engine.initial_state(), []
    for n in range(-(-max(map(len, sounds)) // engine.chunk_samples)):
        samples = np.zeros((ROWS, engine.samples), np.float32)
        valid = np.zeros(ROWS, np.int32)
        for row, sound in enumerate(sounds):
            left = -(-len(sound) // unit) * engine.block - n * engine.frames  # encoder frames
            part = sound[n * engine.chunk_samples :][: engine.samples]
            samples[row, : len(part)] = part
            valid[row] = np.clip(left, 0, engine.samples // 1280)
        state, out = engine.step(state, samples, valid, np.full(ROWS, n == 0) & (valid > 0))
        assert {name: x.dtype for name, x in out.items() if name not in GREEDY} == {
            "phonemes": np.float32,
            "heard": np.bool_,
        }
        found.append(out)
    return {name: np.concatenate([out[name] for out in found], axis=1) for name in found[0]}


def whole(model: Transducer, sound: np.ndarray, chunk: int) -> np.ndarray:
    """[2 S, P + 1] log-probabilities of a whole recording."""
    sound = np.pad(sound, (0, -len(sound) % (1280 * min(chunk, 8))))
    mel = log_mel(np.pad(sound, (0, -len(sound) % 10_240)))[None]
    lengths = ops.convert_to_tensor([len(sound) // 160], "int32")
    logits = model.phoneme_logits(*model(ops.convert_to_tensor(mel), lengths, chunk=chunk))
    return np.asarray(ops.log_softmax(logits, axis=-1))[0, : len(sound) // 640]


@pytest.mark.parametrize(
    ("chunk_ms", "lookahead_frames", "kind"),
    [
        (320, 0, EngineKind.xla),
        (1280, 0, EngineKind.xla),
        (320, 2, EngineKind.xla),
        (320, 0, EngineKind.litert),
        (1280, 0, EngineKind.litert),
    ],
)
def test_streams_hear_what_whole_recordings_do(
    make_hearing: Callable[..., Transducer],
    make_audio: Callable,
    chunk_ms: int,
    lookahead_frames: int,
    kind: EngineKind,
) -> None:
    """Chunks of one block and of several; one stream ends before the other, both within a chunk of 1280 ms."""
    model = make_hearing(lookahead_frames=lookahead_frames)
    engine = make_engine(kind, model, chunk_ms, ROWS, search=search_of(model))
    sounds = [make_audio(4.4, 1), make_audio(2.9, 2)]
    found = run(engine, sounds)
    assert found["phonemes"].shape[2:] == (2 * engine.block, PHONEMES + 1)
    for row, sound in enumerate(sounds):
        blocks = -(-len(sound) // (1280 * engine.block))
        assert found["heard"][row].tolist() == [n < blocks for n in range(found["heard"].shape[1])]
        heard = found["phonemes"][row, :blocks].reshape(-1, PHONEMES + 1)
        np.testing.assert_allclose(heard, whole(model, sound, engine.frames), atol=2e-3)
    assert np.ptp(found["phonemes"][found["heard"]], axis=(0, 1)).min() > 0.5  # or any frames would do


@pytest.mark.parametrize("kind", [EngineKind.xla, *LITE])
@pytest.mark.parametrize("chunk_ms", [320, 1280])
def test_labels_are_the_greedy_search_s(
    model: Transducer, make_audio: Callable, kind: EngineKind, chunk_ms: int
) -> None:
    sound, found = make_audio(1.28, 1), []
    for search in (GreedySearch(model), search_of(model)):
        engine = make_engine(kind, model, chunk_ms, 1, "graph", search)
        state = engine.initial_state()
        samples = sound[None, -engine.samples :]
        found.append(engine.step(state, samples, np.array([engine.frames], np.int32), np.array([True]))[1])
    plain, heard = found
    assert (plain["labels"] >= 0).any() or chunk_ms == 320
    assert set(plain) == GREEDY
    assert set(heard) == GREEDY | {"phonemes", "heard"}
    for name in ("labels", "frames"):
        np.testing.assert_array_equal(heard[name], plain[name])
    for name in ("log_probs", "weights", "end", "done"):
        np.testing.assert_allclose(heard[name], plain[name], atol=1e-4)


def test_int8_weights_are_near(model: Transducer, make_audio: Callable) -> None:
    sounds, found = [make_audio(4.4, 1), make_audio(2.9, 2)], []
    for kind in LITE:
        out = run(make_engine(kind, model, 320, ROWS, search=search_of(model)), sounds)
        found.append(np.exp(out["phonemes"][out["heard"]]))
    difference = np.abs(found[1] - found[0])
    assert 0.0 < difference.mean() < 0.02
    assert difference.max() < 0.2


@pytest.mark.parametrize("kind", [EngineKind.xla, *LITE])
def test_phrases_are_left_to_the_search_of_words(
    model: Transducer, model_folder: Path, make_audio: Callable, monkeypatch: pytest.MonkeyPatch, kind: EngineKind
) -> None:
    """Slots hand on phonemes, no list of phrases biases the labels, and LiteRT needs no compiled search for them."""
    lists = PhraseLists(load_model(model_folder)[1], 1, 50.0)
    place = lists.take(["the cat"])
    slots = SlotEngine(model, [320], 2, (2,), search_of(model), lists, kind)
    if kind is not EngineKind.xla:
        monkeypatch.setattr(slots.engine(320), "_search", None)
    slots.warm_up()
    sound = make_audio(3.2, 1).reshape(-1, 5120)
    for n, part in enumerate(sound):
        given = np.stack([part, part]), np.full(2, 4, np.int32), np.full(2, n == 0)
        out = slots.step(320, [0, 1], *given, np.array([place, 0], np.int32))
        for values in out.values():
            np.testing.assert_array_equal(values[0], values[1])
        assert out["heard"].all()


def test_joints_that_litert_does_not_decode(tiny: ModelConfig, randomised: Callable, make_audio: Callable) -> None:
    """A compiled program decodes them, and hands on what the exported one hears."""
    model = Transducer(dataclasses.replace(tiny, attention="local_p", phonemes=PHONEMES))
    randomised(model, 0)
    sounds = [make_audio(4.4, 1), make_audio(2.9, 2)]
    exact, found = (
        run(make_engine(kind, model, 1280, ROWS, "graph", search_of(model)), sounds)
        for kind in (EngineKind.xla, EngineKind.litert)
    )
    heard = exact["heard"]
    np.testing.assert_array_equal(found["heard"], heard)
    np.testing.assert_allclose(found["phonemes"][heard], exact["phonemes"][heard], atol=2e-3)


def test_a_row_without_a_chunk_hears_nothing_and_keeps_its_state(model: Transducer, make_audio: Callable) -> None:
    engine = Engine(model, 320, ROWS, "graph", search_of(model))
    samples = np.stack([make_audio(0.32, 1), make_audio(0.32, 2)])
    both, none = np.full(ROWS, 4, np.int32), np.zeros(ROWS, bool)
    state, _ = engine.step(engine.initial_state(), samples, both, ~none)
    after, out = engine.step(state, samples, np.array([4, 0], np.int32), none)
    assert out["heard"].tolist() == [[True], [False]]
    _, expected = engine.step(state, samples, both, none)
    _, found = engine.step(after, samples, both, none)
    np.testing.assert_array_equal(found["phonemes"][1], expected["phonemes"][1])
    assert not np.array_equal(found["phonemes"][0], expected["phonemes"][0])


def test_the_head_is_part_of_a_program_s_name(model: Transducer, model_folder: Path) -> None:
    before = fingerprint(model)
    bias = np.asarray(model.phonemes.bias)
    try:
        model.phonemes.bias.assign(bias + 1.0)
        assert fingerprint(model) != before
    finally:
        model.phonemes.bias.assign(bias)
    assert fingerprint(model) == before != fingerprint(load_model(model_folder)[0])
    assert search_of(model).identity != GreedySearch(model).identity
    assert search_of(model).head is Head.phonemes


def test_a_model_without_phonemes_is_an_error(make_model: Callable[..., Transducer]) -> None:
    with pytest.raises(ValueError, match="expected a model with phonemes"):
        search_of(make_model())
