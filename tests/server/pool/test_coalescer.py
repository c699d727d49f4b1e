import asyncio

import pytest

from server.pool.coalescer import LEAST_BYTES, Coalescer
from server.worker.messages import Audio, Flush, ToWorker

pytestmark = pytest.mark.asyncio


def audio(length: int, stream: int = 1, value: int = 0) -> Audio:
    return Audio(stream=stream, samples=bytes([value]) * length)


@pytest.fixture
def out() -> list[ToWorker]:
    return []


async def test_audio_that_is_long_enough_passes_at_once(out: list[ToWorker]) -> None:
    Coalescer(out.append).send(1, audio(LEAST_BYTES))
    assert out == [audio(LEAST_BYTES)]


async def test_shorter_audio_is_joined(out: list[ToWorker]) -> None:
    coalescer = Coalescer(out.append)
    coalescer.send(1, audio(4, value=1))
    coalescer.send(2, audio(4, stream=2, value=2))
    assert out == []
    coalescer.send(1, audio(LEAST_BYTES - 4, value=3))
    assert out == [Audio(stream=1, samples=b"\x01" * 4 + b"\x03" * (LEAST_BYTES - 4))]


async def test_nothing_is_held_for_long(out: list[ToWorker]) -> None:
    coalescer = Coalescer(out.append)
    for _ in range(2):
        coalescer.send(1, audio(4))
        coalescer.send(1, audio(4))
        async with asyncio.timeout(20):
            while not out:
                await asyncio.sleep(0.001)
        assert out == [audio(8)]
        out.clear()


async def test_order_is_kept(out: list[ToWorker]) -> None:
    coalescer = Coalescer(out.append)
    coalescer.send(1, audio(4))
    coalescer.send(1, Flush(stream=1))
    coalescer.send(1, Flush(stream=1))
    assert out == [audio(4), Flush(stream=1), Flush(stream=1)]


async def test_what_is_forgotten_is_not_sent(out: list[ToWorker]) -> None:
    coalescer = Coalescer(out.append)
    coalescer.send(1, audio(4))
    coalescer.forget(1)
    coalescer.forget(2)
    coalescer.send(1, Flush(stream=1))
    assert out == [Flush(stream=1)]
