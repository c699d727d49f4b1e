"""Streaming equals offline: the decoder of training, over whole recordings, gives the words of the streams."""

from collections.abc import Callable

import numpy as np
import pytest

from asr.features import log_mel
from asr.streaming.recognizer import Recognizer
from asr.training.dev import DevDecoder

LENGTHS = (6.0, 3.37, 4.801, 0.05)  # seconds


def batch_of(sounds: list[np.ndarray], block_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames [B, T, 80], silence past each end, and lengths, of recordings filled up to whole blocks as streams are."""
    longest = max(len(sound) for sound in sounds)
    total = -(-longest // block_samples) * block_samples
    total = -(-total // 10_240) * 10_240  # T is a multiple of 64
    frames = np.stack([log_mel(np.pad(sound, (0, total - len(sound)))) for sound in sounds])
    return frames, np.array([-(-len(sound) // 160) for sound in sounds], np.int32)


@pytest.mark.parametrize("chunk_ms", [160, 320, 640, 1280])
def test_streams_say_what_the_offline_decoder_says(
    recogniser: Callable[..., Recognizer], make_audio: Callable, chunk_ms: int
) -> None:
    recognizer = recogniser(chunk_ms, silence_ms=0)
    sounds = [make_audio(seconds, seed) for seed, seconds in enumerate(LENGTHS, start=1)]
    decoder = DevDecoder(recognizer.transducer, recognizer.tokenizer, recognizer.engine.frames)
    found = decoder(*batch_of(sounds, recognizer.engine.block * 1280))
    texts = [recognizer.transcribe(sound).text for sound in sounds]
    assert [row["transducer"] for row in found] == texts
    assert len(set(texts)) > 2
