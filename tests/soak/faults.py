"""Workers are killed and connections cut in mid-stream: every transcript must be the undisturbed one."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any

from tests.soak.playing import BLOCK_BYTES, Heard, Transcript, distribution, listen
from tests.soak.proxy import CuttingProxy
from tests.soak.service import Service

STREAMS = 4  # at a time
RUNS_A_SERVER = 4
NOTICED_S = 2.0  # in which the server notices that a worker is gone
FRAMING_BYTES = 8  # of a websocket frame of a block of audio
HANDSHAKE_BYTES = 600  # and the start message, about


async def undisturbed(service: Service, audio: list[bytes]) -> list[Transcript]:
    """What the recordings give by themselves."""
    return [(await listen(service.url, one)).transcript for one in audio]


async def kills(new_service: Callable[[], Service], audio: list[bytes], runs: int, seed: int = 0) -> dict[str, Any]:
    """Kills a worker while several streams play, once a run.

    Args:
        new_service: Makes a server. Each takes few runs: its waits before restarts grow with the deaths of a minute.
        audio: Recordings.
        runs: Kills.
        seed: Of the places.

    Returns:
        Counts of transcripts, of those that differ, and the times to the streams' next event and to the new worker.
    """
    draw, expected = random.Random(seed), None
    different, recovered, restarted = 0, [], []
    for first in range(0, runs, RUNS_A_SERVER):
        async with new_service() as service:
            expected = expected or await undisturbed(service, audio)
            for run in range(first, min(runs, first + RUNS_A_SERVER)):
                chosen = [(run * STREAMS + stream) % len(audio) for stream in range(STREAMS)]
                victim = draw.randrange(2, max(3, len(audio[chosen[0]]) // BLOCK_BYTES - 2))
                killed_at, took_s, heard = await _kill(service, [audio[index] for index in chosen], victim)
                different += sum(one.transcript != expected[index] for one, index in zip(heard, chosen, strict=True))
                recovered += [took for one in heard if (took := one.recovered_s(killed_at)) is not None]
                restarted.append(took_s)
    return {
        "runs": runs,
        "transcripts": runs * STREAMS,
        "different": different,
        "recovery": distribution(recovered),
        "whole_again": distribution(restarted),
    }


async def _kill(service: Service, audio: list[bytes], victim: int) -> tuple[float, float, list[Heard]]:
    """Plays recordings at the same time; a worker dies before the block `victim` of the first.

    Returns:
        When it died, how long it took until another was ready, and what was heard.
    """
    killed_at, watching = 0.0, None

    def sent(block: int) -> None:
        nonlocal killed_at, watching
        if block == victim:
            killed_at = time.monotonic()
            service.kill_worker()
            watching = asyncio.create_task(whole_again())

    async def whole_again() -> float:
        with contextlib.suppress(TimeoutError):  # there again between two looks
            async with asyncio.timeout(NOTICED_S):
                await service.ready(False)
        await service.ready()
        return time.monotonic() - killed_at

    playing = [listen(service.url, audio[0], sent), *(listen(service.url, one) for one in audio[1:])]
    heard = await asyncio.gather(*playing)
    assert watching is not None
    return killed_at, await watching, heard


async def drops(service: Service, audio: list[bytes], runs: int, seed: int = 0) -> dict[str, Any]:
    """Cuts a stream's connection at a random byte, once a run; several runs at a time.

    Returns:
        Counts of transcripts and of those that differ, and the times to the streams' next event.
    """
    expected, draw = await undisturbed(service, audio), random.Random(seed)
    places, outcomes = asyncio.Semaphore(STREAMS), []

    async def one(run: int) -> tuple[bool, float | None]:
        index = run % len(audio)
        blocks = -(-len(audio[index]) // BLOCK_BYTES)
        cut = draw.randrange(HANDSHAKE_BYTES, len(audio[index]) + FRAMING_BYTES * blocks)
        async with places, CuttingProxy(service.url, (cut,)) as proxy:
            heard: Heard = await listen(proxy.url, audio[index])
            if len(proxy.cut_at) != 1:
                raise RuntimeError(f"expected 1 cut at byte {cut}, got {len(proxy.cut_at)}")
            return heard.transcript != expected[index], heard.recovered_s(proxy.cut_at[0])

    outcomes = await asyncio.gather(*map(one, range(runs)))
    return {
        "runs": runs,
        "transcripts": runs,
        "different": sum(differs for differs, _ in outcomes),
        "recovery": distribution([took for _, took in outcomes if took is not None]),
    }
