"""Many sessions, and one that lasts a day: memory must stay where it is."""

import asyncio
import os
import time
from typing import Any

from websockets.frames import Frame, Opcode

from client import Final, connect
from client.bench.latency import Latencies, Stopwatch
from client.bench.pacing import Pacing
from client.bench.recordings import Loaded
from client.bench.stream import Target, play
from server.wire import Encoding
from tests.soak.playing import PATIENCE, RATE
from tests.soak.service import Service, rss_mib

GROWTH_MIB = 64.0  # from a tenth of the way to the end, past which it is a leak
SESSION_S = 0.5  # of audio in a short session
CONCURRENT = 16
PAUSE_S = 1.0  # of silence after each recording of the day


async def sessions(service: Service, audio: list[bytes], count: int) -> dict[str, Any]:
    """Short sessions as fast as the server takes them, some at a time.

    Returns:
        Sessions, how many a second, the memory at the start, after a tenth and at the end, in MiB, and whether a worker
        had to be replaced, which would hide a leak.
    """
    short = [_short(one) for one in audio]
    target = Target(f"{service.url.replace('http', 'ws', 1)}/v1/stream", pacing=Pacing.fast)
    numbers, loop = iter(range(count)), asyncio.get_running_loop()
    memory, workers, done, begin = {"start": service.memory_mib()}, service.workers, 0, time.monotonic()

    async def one_after_another() -> None:
        nonlocal done
        for number in numbers:
            recording = short[number % len(short)]
            await play(target, recording, Stopwatch(Latencies(), recording.ends_ms), loop)
            done += 1
            if done == max(1, count // 10):
                memory["tenth"] = service.memory_mib()

    await asyncio.gather(*(one_after_another() for _ in range(CONCURRENT)))
    memory["end"] = service.memory_mib()
    speed = {"sessions": done, "per_s": round(done / (time.monotonic() - begin), 1)}
    return {**speed, **_grown(memory), "restarted": service.workers != workers}


async def day(service: Service, audio: list[bytes], hours: float) -> dict[str, Any]:
    """One session of so many hours, as fast as the server takes it.

    Returns:
        Hours, times real time, words, the memory at the start, after a tenth and at the end, in MiB, and whether a
        worker had to be replaced, which would hide a leak.
    """
    silence, total = bytes(round(PAUSE_S * RATE) * 2), round(hours * 3600 * RATE) * 2
    memory, words, sent, begin = {"start": _with_client(service)}, 0, 0, time.monotonic()
    workers = service.workers
    async with connect(service.url, sample_rate=RATE, backoff=PATIENCE) as session:

        async def read() -> None:
            nonlocal words
            async for event in session:
                words += len(event.text.split()) if isinstance(event, Final) else 0

        reading, number = asyncio.create_task(read()), 0
        while sent < total:
            piece = (audio[number % len(audio)] + silence)[: total - sent]
            await session.send(piece)
            number, sent = number + 1, sent + len(piece)
            if "tenth" not in memory and sent >= total / 10:
                memory["tenth"] = _with_client(service)
        done = await session.stop()
        memory["end"] = _with_client(service)
        await reading
    if done.samples * 2 != total:
        raise RuntimeError(f"expected {total // 2} samples, got {done.samples}")
    speed = hours * 3600 / (time.monotonic() - begin)
    said = {"hours": hours, "speed": round(speed, 1), "words": words, "segments": done.segments}
    return {**said, **_grown(memory), "restarted": service.workers != workers}


def _short(audio: bytes) -> Loaded:
    """The middle of a recording, in one frame."""
    size = round(SESSION_S * RATE) * 2
    piece = audio[len(audio) // 4 * 2 :][:size]
    frame = Frame(Opcode.BINARY, piece).serialize(mask=True)
    return Loaded("short", (frame,), (1000 * len(piece) / 2 / RATE,), RATE, Encoding.S16LE, None)


def _with_client(service: Service) -> dict[str, float]:
    """Memory, this process's included."""
    return {**service.memory_mib(), "client": rss_mib(os.getpid())}


def _grown(memory: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The memory, and whether it grew too much."""
    growth = {name: round(memory["end"][name] - value, 1) for name, value in memory["tenth"].items()}
    return {"memory_mib": memory, "growth_mib": growth, "leaks": max(growth.values()) > GROWTH_MIB}
