"""What a worker writes to standard error, as lines of the server's log."""

import asyncio
import logging

LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}
LONGEST = 2000  # characters of a line that are kept

logger = logging.getLogger(__name__)


async def relay(stream: asyncio.StreamReader, number: int) -> None:
    """Log every line until the stream ends; whoever stops reading would stop the worker.

    A line that begins with a level is logged at that level, others (of libraries, of tracebacks) as information.

    Args:
        stream: The worker's standard error.
        number: The worker's.
    """
    while True:
        try:
            line = await stream.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            line = error.partial
            if not line:
                return
        except asyncio.LimitOverrunError as error:
            line = await stream.readexactly(error.consumed)
        text = line.decode("utf-8", "replace").strip()
        level, _, message = text.partition(" ")
        if text:
            known = level in LEVELS
            logger.log(LEVELS.get(level, logging.INFO), "worker %d: %s", number, (message if known else text)[:LONGEST])
