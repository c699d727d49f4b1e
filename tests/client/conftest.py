"""Audio files, and the words that the fake server hears in them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.client.fake_server import RATE, speech


@pytest.fixture
def write_speech(tmp_path: Path) -> Callable[..., Path]:
    """Writes a WAV file in which the fake server hears so many words."""

    def write(name: str, words: int, first: int = 1) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.frombuffer(speech(words, first), "<i2"), RATE, subtype="PCM_16")
        return path

    return write
