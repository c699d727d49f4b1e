"""`asr-client demo`: a server of its own, and recordings of real speech through its websocket, live."""

import asyncio
import contextlib
import importlib.util
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
from numpy.typing import NDArray
from rich.console import Console
from rich.live import Live
from rich.text import Text

from client.api import LiveSession, connect
from client.errors import AudioFileError, EarshotError
from client.inbox import Event
from client.live_text import LiveText
from client.local_server import LocalServer
from client.pace import Pace
from server.wire import Partial

SAMPLES = Path(__file__).parent.parent / "data" / "samples" / "manifest.jsonl"
NEEDED = ("starlette", "uvicorn", "zmq", "keras", "tensorflow")  # of a server; the client has none of them
BLOCKS_PER_S = 10  # of audio, as a microphone gives it
REFRESHES = 20  # of the screen, a second


@dataclass(frozen=True)
class Sample:
    """A recording with what is said in it.

    Attributes:
        audio: The file.
        seconds: Its length.
        speaker: Who speaks.
        text: What is said.
    """

    audio: Path
    seconds: float
    speaker: str
    text: str


@dataclass
class Timings:
    """Of the partials of a recording.

    Attributes:
        compute_ms: Of each step.
    """

    compute_ms: list[float] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """An event came."""
        if isinstance(event, Partial):
            self.compute_ms.append(event.timing.compute_ms)


def read_samples(manifest: Path = SAMPLES, limit: int | None = None) -> list[Sample]:
    """The bundled recordings.

    Raises:
        EarshotError: if they are not installed.
    """
    try:
        lines = manifest.read_text(encoding="utf-8").splitlines()[:limit]
    except OSError as error:
        raise EarshotError(f"{manifest}: {error.strerror}: expected the bundled recordings") from error
    found = [json.loads(line) for line in lines]
    return [Sample(manifest.parent / u["audio"], u["seconds"], u["speaker"], u["text"]) for u in found]


async def demo(url: str | None, samples: Sequence[Sample], chunk_ms: int, real_time: bool, console: Console) -> None:
    """Streams recordings to a server and shows the words as they come, settled ones bold.

    Args:
        url: Of a server; None starts one on this machine and stops it at the end.
        samples: The recordings.
        chunk_ms: Audio recognised at a time.
        real_time: Whether to send as fast as they were spoken, or as fast as the server takes it.
        console: To write to.

    Raises:
        EarshotError: if the server cannot be started or used.
    """
    async with _server(url, chunk_ms, console) as address:
        for sample in samples:
            await _play(address, sample, chunk_ms, real_time, console)


@contextlib.asynccontextmanager
async def _server(url: str | None, chunk_ms: int, console: Console) -> AsyncIterator[str]:
    if url is not None:
        yield url
        return
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        needed = "give --url, or install a server: pip install 'earshot[server]'"
        raise EarshotError(f"the demo starts a server, for which {', '.join(missing)} is not installed; {needed}")
    started = time.monotonic()
    options = ["--chunk-ms", str(chunk_ms), "--max-streams", "4", "--batch", "1"]
    async with contextlib.AsyncExitStack() as stack:
        with console.status("Starting a server: it compiles the model's step …"):
            server = await stack.enter_async_context(LocalServer(options))
        console.print(f"Ready after {time.monotonic() - started:.1f} s: {server.url}", style="dim", highlight=False)
        yield server.url


async def _play(url: str, sample: Sample, chunk_ms: int, real_time: bool, console: Console) -> None:
    console.print(f"\n{sample.audio.name}, {sample.seconds:.1f} s, speaker {sample.speaker}", highlight=False)
    samples, rate = _mono(sample.audio)
    text, timings = LiveText(), Timings()
    async with connect(url, sample_rate=rate, chunk_ms=chunk_ms) as session:
        with Live(get_renderable=text.line, console=console, refresh_per_second=REFRESHES, transient=True):
            await asyncio.gather(_speak(session, samples, rate, real_time), _read(session, text, timings))
    console.print(Text("heard: ").append(" ".join(text.finals), style="bold"))
    console.print(f"said:  {sample.text}", style="green", highlight=False)
    if timings.compute_ms:
        said = f"{median(timings.compute_ms):.0f} ms of compute for {chunk_ms} ms of audio"
        console.print(f"{said} (median of {len(timings.compute_ms)})", style="dim", highlight=False)


def _mono(path: Path) -> tuple[NDArray[np.float32], int]:
    """Samples [N], the mean of the channels, and their rate in hertz: decoded here, to be sent as from a microphone."""
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioFileError(f"{path}: expected a recording: {error}") from error
    return samples.mean(axis=1), rate


async def _speak(session: LiveSession, samples: NDArray[np.float32], rate: int, real_time: bool) -> None:
    """Sends a tenth of a second at a time, when its last sample was spoken, then makes everything final."""
    pace, block = Pace(), rate // BLOCKS_PER_S
    for start in range(0, len(samples), block):
        piece = samples[start : start + block]
        if real_time:
            await pace.until((start + len(piece)) / rate)
        await session.send(piece)
    await session.stop()


async def _read(session: LiveSession, text: LiveText, timings: Timings) -> None:
    async for event in session:
        text.take(event)
        timings.take(event)
