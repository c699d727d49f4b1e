"""Playing audio to the fake server."""

import asyncio

from client import Backoff, Final, connect
from client.api import LiveSession
from tests.client.fake_server import FakeServer

QUICK = Backoff(first_s=0.001, longest_s=0.002)


async def finals_of(session: LiveSession) -> list[str]:
    return [event.text async for event in session if isinstance(event, Final)]


async def recognised(server: FakeServer, audio: bytes, **options: object) -> str:
    """Everything that is heard in the audio, sent in pieces that cut samples and words."""
    async with asyncio.timeout(30), connect(server.url, backoff=QUICK, **options) as session:
        for start in range(0, len(audio), 999):
            await session.send(audio[start : start + 999])
        await session.stop()
        return " ".join(await finals_of(session))
