import asyncio
import logging

import pytest

from server.pool.worker_log import LONGEST, relay

pytestmark = pytest.mark.asyncio


async def relayed(data: bytes, caplog: pytest.LogCaptureFixture, limit: int = 2**16) -> list[tuple[int, str]]:
    """What is logged of some bytes: levels and messages."""
    caplog.set_level(logging.DEBUG, "server.pool.worker_log")
    stream = asyncio.StreamReader(limit=limit)
    stream.feed_data(data)
    stream.feed_eof()
    await relay(stream, 3)
    return [(line.levelno, line.getMessage()) for line in caplog.records if line.name == "server.pool.worker_log"]


async def test_lines_keep_their_level(caplog: pytest.LogCaptureFixture) -> None:
    data = b"INFO compiled in 3 s\nWARNING slow\n\nsome library says\nERROR last"
    assert await relayed(data, caplog) == [
        (logging.INFO, "worker 3: compiled in 3 s"),
        (logging.WARNING, "worker 3: slow"),
        (logging.INFO, "worker 3: some library says"),
        (logging.ERROR, "worker 3: last"),
    ]


async def test_bytes_that_are_no_text_are_shown_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    assert await relayed(b"\xff\n", caplog) == [(logging.INFO, "worker 3: \ufffd")]


async def test_lines_without_end_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    lines = await relayed(b"x" * 10_000 + b"\nnext\n", caplog, limit=100)
    assert lines[0] == (logging.INFO, "worker 3: " + "x" * LONGEST)
    assert lines[-1] == (logging.INFO, "worker 3: next")
