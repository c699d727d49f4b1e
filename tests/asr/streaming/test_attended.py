"""What there is to see of a recording's attention."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from asr.attention.windowed import chunk_mask
from asr.features import log_mel
from asr.streaming.recognizer import Recognizer
from asr.streaming.stream import StreamState


@pytest.fixture(scope="module")
def recognizer(model_folder: Path) -> Recognizer:
    return Recognizer(model_folder, 320)


def test_words_are_those_of_transcribe_and_every_wordpiece_looked_somewhere(
    recognizer: Recognizer, make_audio: Callable
) -> None:
    samples = make_audio(3.0, 5)
    attended = recognizer.attend(samples)
    assert attended.transcript == recognizer.transcribe(samples)
    assert attended.transcript.words
    pieces = "".join(label for look in attended.looks for label in look.labels).replace("▁", "")
    assert "".join(word.word for word in attended.transcript.words) in pieces  # a restart may have heard more
    for look in attended.looks:
        assert look.end_ms - look.start_ms == 320
        assert look.weights.shape == (len(look.labels), 2, 4 + 4)
        np.testing.assert_allclose(look.weights.sum(-1), 1.0, atol=1e-4)
    np.testing.assert_allclose(attended.frames, log_mel(samples))


def test_looking_changes_nothing_of_what_the_encoder_gives(recognizer: Recognizer, make_audio: Callable) -> None:
    encoder, frames = recognizer.transducer.encoder, log_mel(make_audio(1.28, 1))[None]
    lengths = ops.convert_to_tensor([128], "int32")
    weights = encoder.look(frames, lengths, 4)
    assert list(weights) == [layer.name for layer in encoder.lower + encoder.upper]
    left = encoder.config.left_frames
    for layer in encoder.upper:
        found = np.asarray(weights[layer.name])
        mask = np.asarray(chunk_mask(16, 4, left, lengths))
        np.testing.assert_allclose(found.sum(-1), 1.0, atol=1e-5)
        assert np.all(found[:, :, ~mask[0]] == 0.0)
    x = np.random.default_rng(0).normal(size=(1, 16, encoder.config.dim)).astype(np.float32)
    layer, mask = encoder.upper[0], chunk_mask(16, 4, left, lengths)
    np.testing.assert_allclose(layer.look(x, mask)[0], layer(x, mask), atol=1e-5)


def test_patterns_are_means_by_distance(recognizer: Recognizer, make_audio: Callable) -> None:
    patterns = recognizer.attend(make_audio(2.0, 2)).encoder
    encoder = recognizer.transducer.encoder
    left = encoder.config.left_frames
    for layer in encoder.lower + encoder.upper:
        pattern, step = patterns[layer.name], 40 if layer in encoder.lower else 80
        reach = left * 80 + 320 - step  # the first frame of a chunk sees L back, the last one the whole chunk too
        assert pattern.offsets_ms.min() >= -reach and pattern.offsets_ms.max() == 320 - step
        assert np.all(np.diff(pattern.offsets_ms) == step)
        assert pattern.weights.shape == (2, len(pattern.offsets_ms))
        assert np.all((pattern.weights > 0) & (pattern.weights <= 1))


def test_very_short_audio_has_no_pattern(recognizer: Recognizer) -> None:
    attended = recognizer.attend(np.zeros(800, np.float32))
    assert attended.encoder == {} and len(attended.frames) == 5


@pytest.mark.parametrize("kind", [{"mode": "graph"}, {"engine": "xla"}, {"engine": "litert"}])
def test_with_a_beam_the_words_and_where_they_looked_are_the_beam_s(
    model_folder: Path, make_audio: Callable[..., np.ndarray], kind: dict[str, str]
) -> None:
    searching = Recognizer(model_folder, 320, beam=3, **kind)
    changed = False
    for seed in range(4):
        samples = make_audio(1.5, seed)
        attended = searching.attend(samples)
        assert attended.transcript == searching.transcribe(samples)
        assert len(attended.transcript.segments) == 1  # else some is read again, and said again
        pieces = "".join(label for look in attended.looks for label in look.labels)
        assert pieces.replace("▁", " ").split() == attended.transcript.text.split()
        starts = [look.start_ms for look in attended.looks]
        assert starts == list(range(0, 320 * len(starts), 320))
        for look in attended.looks:
            assert look.weights.shape == (len(look.labels), 2, 4 + 4) and 0.0 <= look.end_probability <= 1.0
            np.testing.assert_allclose(look.weights.sum(-1), 1.0, atol=1e-4)
        with searching.stream() as stream:
            stream.state = StreamState(searching.tokenizer, searching.engine, searching.silence_ms, watched=True)
            told = []
            for chunk in np.array_split(samples, 8):
                stream.accept(chunk)
                told += stream.state.take_looks()
            stream.finish()
            told += stream.state.take_looks()
        last = {look.start_ms: look for look in told}
        assert [last[start].labels for start in starts] == [look.labels for look in attended.looks]
        changed |= len(told) > len(last)
    assert changed
