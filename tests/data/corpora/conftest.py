"""Makes tiny recordings in the layouts of the corpora."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Writes `tmp_path / name`, a recording of some seconds."""

    def write(name: str, seconds: float = 0.5, rate: int = 16_000) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * np.sin(np.arange(int(rate * seconds)) / 10), rate)
        return path

    return write
