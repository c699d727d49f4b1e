"""A server on a free port with workers that need no model."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from server.settings import Settings
from tests.server.app.running import Running, start_running, stop_running


@pytest.fixture
def speech() -> Callable[..., bytes]:
    """Makes seconds of noise as s16le, 16 kHz; each seed its own."""

    def make(seconds: float, seed: int = 0) -> bytes:
        noise: NDArray[np.int16] = np.random.default_rng(seed).integers(-3000, 3000, round(16_000 * seconds), np.int16)
        return noise.tobytes()

    return make


StartServer = Callable[..., Awaitable[Running]]


@pytest_asyncio.fixture
async def start_server(
    fake_worker: Callable[..., Callable[[str], list[str]]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[StartServer]:
    """Starts servers and ends them afterwards."""
    monkeypatch.setattr("server.pool.process.KILL_S", 1.0)  # some workers do not obey
    monkeypatch.setattr("server.app.serve.CLOSE_S", 1)
    running: list[Running] = []

    async def start(*worker_options: str, warm: bool = True, **settings: Any) -> Running:
        values = {"port": 0, "max_streams": 8, **settings}
        running.append(await start_running(Settings(**values), fake_worker(*worker_options), warm))
        return running[-1]

    yield start
    for run in running:
        await stop_running(run)


@pytest.fixture
def samples_folder() -> Path:
    """Recordings of real speech."""
    return Path(__file__).parents[3] / "data" / "samples"
