"""Recordings played through the client, with a note of what came when."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile
import soxr

from client import Backoff, Final, connect
from server.wire import Word

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
RATE = 16_000  # Hz
BLOCK_S = 0.1  # seconds of audio sent at a time
BLOCK_BYTES = round(BLOCK_S * RATE) * 2
SPEED = 4.0  # times real time
PATIENCE = Backoff(first_s=0.05, longest_s=2.0, give_up_s=900.0)

Transcript = list[tuple[str, tuple[tuple[str, int, int], ...]]]
"""Text and timed words of each segment."""


@dataclass
class Heard:
    """What came of a recording.

    Attributes:
        finals: In order.
        event_at: When each event came, partials included, in seconds.
    """

    finals: list[Final] = field(default_factory=list)
    event_at: list[float] = field(default_factory=list)

    @property
    def transcript(self) -> Transcript:
        """What must not depend on who was killed."""
        return [(final.text, tuple(map(_timed, final.words))) for final in self.finals]

    def recovered_s(self, since: float) -> float | None:
        """Seconds from then to the next event; None if none came."""
        return next((at - since for at in self.event_at if at > since), None)


def _timed(word: Word) -> tuple[str, int, int]:
    return word.word, word.start_ms, word.end_ms


def recordings(count: int | None = None) -> list[bytes]:
    """The bundled recordings as 16-bit samples at 16 kHz."""
    found = []
    for path in sorted(SAMPLES.iterdir()):
        if path.suffix in (".mp3", ".opus"):
            samples, rate = soundfile.read(path, dtype="float32")
            at_rate = soxr.resample(samples, rate, RATE)
            found.append(np.clip(at_rate * 32767, -32768, 32767).astype("<i2").tobytes())
    return found[:count]


async def listen(
    url: str, audio: bytes, sent: Callable[[int], Awaitable[None] | None] = lambda block: None, speed: float = SPEED
) -> Heard:
    """Plays a recording.

    Args:
        url: Of the server.
        audio: 16-bit samples at 16 kHz.
        sent: Called with the number of each block before it is sent.
        speed: Times real time.
    """
    heard = Heard()
    async with connect(url, sample_rate=RATE, words=True, backoff=PATIENCE) as session:

        async def read() -> None:
            async for event in session:
                heard.event_at.append(time.monotonic())
                if isinstance(event, Final):
                    heard.finals.append(event)

        reading = asyncio.create_task(read())
        begin = time.monotonic()
        for number, start in enumerate(range(0, len(audio), BLOCK_BYTES)):
            await asyncio.sleep(max(0.0, begin + number * BLOCK_S / speed - time.monotonic()))
            waiting = sent(number)
            if waiting is not None:
                await waiting
            await session.send(audio[start : start + BLOCK_BYTES])
        await session.stop()
        await reading
    return heard


def distribution(values: list[float]) -> dict[str, float]:
    """Number, median, 95th percentile and maximum, in seconds."""
    if not values:
        return {"count": 0}
    p50, p95, most = (round(float(value), 3) for value in np.percentile(values, [50, 95, 100]))
    return {"count": len(values), "p50_s": p50, "p95_s": p95, "max_s": most}
