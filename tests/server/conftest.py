"""What the tests of the pool and of the application share: workers without a model."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKE_WORKER = Path(__file__).with_name("fake_worker.py")

WorkerCommand = Callable[[str], list[str]]


@pytest.fixture
def fake_worker(monkeypatch: pytest.MonkeyPatch) -> Callable[..., WorkerCommand]:
    """Makes the command line of a fake worker from its options."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    def command(*options: str) -> WorkerCommand:
        return lambda address: [sys.executable, str(FAKE_WORKER), "--connect", address, *options]

    return command
