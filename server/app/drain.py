"""The end of a server that people are talking to."""

import asyncio
import contextlib
import logging

from server.app.logs import fields
from server.app.sessions import Sessions
from server.session import State

ENDING_S = 10.0  # seconds for finalising what is left when the time for ending by itself is over
OPEN = (State.OPEN, State.STOPPING, State.FINISHED, State.DETACHED, State.STOPPING_DETACHED)
"""States of sessions that are worth waiting for: something is still to be said or to be sent."""

logger = logging.getLogger(__name__)


async def drain(sessions: Sessions, drain_s: float) -> None:
    """Take no new sessions and wait for the open ones; finalise and close those that are left.

    Args:
        sessions: All there are; lost connections may still come back to theirs.
        drain_s: Seconds that open ones get to end by themselves.
    """
    sessions.draining = True
    logger.info("draining", extra=fields(streams=sessions.active, seconds=drain_s))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(drain_s):
            await _until_over(sessions)
    left = sessions.seats
    for seat in left:
        sessions.run(seat, seat.session.drain)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ENDING_S):
            await _until_over(sessions)
    logger.info("drained", extra=fields(cut_short=sum(seat.chunk_ms > 0 for seat in left)))


async def _until_over(sessions: Sessions) -> None:
    """Wait until no session is worth waiting for."""
    while any(seat.session.state in OPEN for seat in sessions.seats):
        sessions.changed.clear()
        await sessions.changed.wait()
