"""What a seeded tiny model gives, written down: a change of the model that no other test sees changes these."""

from collections.abc import Callable

import numpy as np
import pytest
from keras import ops

from asr.streaming.recognizer import Recognizer


def test_losses(make_model: Callable, mel: Callable) -> None:
    rng = np.random.default_rng(5)
    batch = {
        "frames": mel(2, 128, 5),
        "frame_lengths": np.array([128, 90], np.int32),
        "characters": rng.integers(0, 28, (2, 6)).astype(np.int32),
        "character_lengths": np.array([6, 4], np.int32),
        "pieces": rng.integers(0, 11, (2, 4)).astype(np.int32),
        "piece_lengths": np.array([4, 3], np.int32),
    }
    tensors = {name: ops.convert_to_tensor(value) for name, value in batch.items()}
    found = {name: float(value) for name, value in make_model(0).losses_of(tensors, 4, 4).items()}
    assert found == pytest.approx({"characters": 15.70115, "pieces": 6.73438, "transducer": 2.77874}, rel=1e-4)


def test_words(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    words = recogniser(640).transcribe(make_audio(3.0, 1)).words
    expected = [("a", 560, 560), ("a", 560, 560), ("aon", 560, 2560)]
    assert [(w.word, w.start_ms, w.end_ms) for w in words] == expected
    assert [w.confidence for w in words] == pytest.approx([0.943, 0.866, 0.704], abs=0.002)
