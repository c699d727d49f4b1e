"""A model with look-ahead: its streams wait for it, and say what the offline decoder says."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from asr.features import log_mel
from asr.model_folder import load_model, save_model
from asr.streaming.recognizer import Recognizer
from asr.streaming.slots import SlotEngine
from asr.training.checkpoint import weights_of
from asr.training.dev import DevDecoder

AHEAD_FRAMES, CHUNK_MS = 3, 320
CHUNK, AHEAD = 16 * CHUNK_MS, 1280 * AHEAD_FRAMES  # samples


@pytest.fixture(scope="module")
def recognizer(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """The random model, its encoder looking ahead."""
    model, tokenizer = load_model(model_folder)
    folder = tmp_path_factory.mktemp("ahead")
    config = dataclasses.replace(model.config, lookahead_frames=AHEAD_FRAMES)
    save_model(folder, config, tokenizer, weights_of(model.variables), {"name": "ahead"})
    return Recognizer(folder, CHUNK_MS, silence_ms=0, mode="graph")


def test_a_step_waits_for_its_look_ahead(recognizer: Recognizer, make_audio: Callable) -> None:
    sound = make_audio(2.0, 1)
    assert recognizer.engine.lookahead_ms == 240
    with recognizer.stream() as stream:
        stream.push(sound[: CHUNK + AHEAD - 1])
        assert not stream.state.ready()
        stream.push(sound[CHUNK + AHEAD - 1 : CHUNK + AHEAD])
        assert stream.state.ready()
        recognizer.advance()
        assert stream.state.audio_ms == CHUNK_MS  # the look-ahead is not recognised yet


def test_streams_say_what_the_offline_decoder_says_for_any_cut(recognizer: Recognizer, make_audio: Callable) -> None:
    """Recordings that end in a chunk, in a look-ahead, before the first chunk is full."""
    sounds = [make_audio(seconds, seed) for seed, seconds in enumerate((3.7, 2.61, 0.3), start=1)]
    decoder = DevDecoder(recognizer.transducer, recognizer.tokenizer, recognizer.engine.frames)
    frames = np.stack([log_mel(np.pad(sound, (0, 6 * 10_240 - len(sound)))) for sound in sounds])
    lengths = np.array([-(-len(sound) // 160) for sound in sounds], np.int32)
    expected = [row["transducer"] for row in decoder(frames, lengths)]
    rng = np.random.default_rng(0)
    found = []
    for sound in sounds:
        cuts = np.sort(rng.integers(0, len(sound), 5))
        assert recognizer.transcribe(sound) == recognizer.transcribe(np.split(sound, cuts))
        found.append(recognizer.transcribe(sound).text)
    assert found == expected
    assert len(set(found)) > 1


def test_it_is_no_other_model_without_look_ahead(
    recognizer: Recognizer, recogniser: Callable[..., Recognizer], make_audio: Callable
) -> None:
    """Same weights, other words: the look-ahead is heard."""
    sound = make_audio(3.7, 1)
    assert recognizer.transcribe(sound).text != recogniser(CHUNK_MS, silence_ms=0).transcribe(sound).text


def test_where_it_looked_is_shown_for_its_own_frames(recognizer: Recognizer, make_audio: Callable) -> None:
    attended = recognizer.attend(make_audio(2.61, 2))
    assert sum(look.end_ms - look.start_ms for look in attended.looks) == 2880  # nine blocks of 320 ms
    for pattern in attended.encoder.values():
        assert pattern.offsets_ms.max() > CHUNK_MS  # beyond its chunk


def test_slots_tell_of_it(recognizer: Recognizer) -> None:
    engine = SlotEngine(recognizer.transducer, [CHUNK_MS], 1, (1,))
    assert engine.lookahead_ms == 240
    assert engine.engine(CHUNK_MS).samples == CHUNK + AHEAD
