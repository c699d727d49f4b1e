"""Recognisers of the random model, compiled once for each shape."""

from collections.abc import Callable
from pathlib import Path

import pytest

from asr.streaming.recognizer import Recognizer


@pytest.fixture(scope="session")
def recogniser(model_folder: Path) -> Callable[..., Recognizer]:
    """A compiled recogniser by chunk size, streams and silence; all its streams are free."""
    made: dict[tuple[int, int], Recognizer] = {}

    def make(chunk_ms: int = 640, streams: int = 1, silence_ms: int = 800) -> Recognizer:
        key = chunk_ms, streams
        if key not in made:
            made[key] = Recognizer(model_folder, chunk_ms, streams)
        made[key].silence_ms = silence_ms
        for stream in list(made[key]._rows):
            if stream is not None:  # of a test that failed
                made[key].release(stream)
        return made[key]

    return make
