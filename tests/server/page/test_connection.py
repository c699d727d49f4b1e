"""Refusals and lost connections."""

import re
from pathlib import Path
from typing import Any

import pytest

from server.wire import ErrorCode
from tests.server.page.driving import OpenPage, listen, notice, record, recorded, stop, words_on
from tests.server.page.page_server import SEGMENT_WORDS, PageServer, said

pytestmark = pytest.mark.asyncio(loop_scope="session")


REFUSALS = {
    ErrorCode.OVERLOADED: ("The server is full", "The server says: the server's own words."),
    ErrorCode.LIMIT_EXCEEDED: ("Too many streams at a time", "End another one first"),
    ErrorCode.SHUTTING_DOWN: ("The server is being stopped", "Try again later"),
    ErrorCode.FORBIDDEN_ORIGIN: ("The server does not admit this page", "ask its operator"),
    ErrorCode.INTERNAL: ("The server failed", "tell its operator"),
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_refusals_say_what_to_do(
    open_page: OpenPage, server: PageServer, code: ErrorCode, tmp_path: Path
) -> None:
    server.refusal = code
    page = await open_page()
    await page.get_by_role("button", name="Start listening").click()
    title, advice = REFUSALS[code]
    assert advice in await notice(page, title)
    await page.locator("body[data-phase=idle]").wait_for()
    await page.screenshot(path=tmp_path / "refused.png", full_page=True)
    server.refusal = None
    await listen(page)
    assert await page.locator("#notice").is_hidden()
    await stop(page)


async def test_a_session_that_the_server_ends_keeps_its_words(open_page: OpenPage, server: PageServer) -> None:
    server.end_at_words = (7, ErrorCode.SESSION_TOO_LONG)
    page = await open_page()
    await listen(page)
    await notice(page, "The session reached its longest duration")
    assert await words_on(page) == said(SEGMENT_WORDS)
    rest = " ".join(said(7).split(" ")[SEGMENT_WORDS:])
    assert await page.locator(".unfinished p").inner_text() == rest


@pytest.mark.parametrize("begin", ["listening", "a file"])
async def test_a_server_that_is_not_there(open_page: OpenPage, server: PageServer, tmp_path: Path, begin: str) -> None:
    page = await open_page()
    server.away = True
    if begin == "listening":
        await page.get_by_role("button", name="Start listening").click()
    else:
        (tmp_path / "talk.mp3").write_bytes(bytes(100))
        await page.locator("#file").set_input_files(tmp_path / "talk.mp3")
    assert "Check that it runs" in await notice(page, "The server does not answer")
    await page.locator("#server-state[data-state=unreachable]").wait_for()


async def test_a_lost_connection_is_resumed_and_nothing_is_lost(
    open_page: OpenPage, server: PageServer, tmp_path: Path
) -> None:
    page = await open_page()
    await record(page)
    server.cut_at_words = 7
    await listen(page)
    server.away = True  # for new connections
    text = await notice(page, "Connection lost: resuming")
    assert "what you say is kept and sent afterwards" in text
    await page.screenshot(path=tmp_path / "resuming.png", full_page=True)
    server.away = False
    await notice(page, "Connected again")
    await page.locator(".word").nth(2 * SEGMENT_WORDS - 1).wait_for()
    await stop(page)
    heard = server.sessions[0]
    assert len(server.sessions) == 1
    assert heard.connections == 2
    assert await words_on(page) == said(heard.words)
    assert bytes(heard.audio) == await recorded(page)


async def test_stop_while_resuming_finishes_after_it(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page()
    server.cut_at_words = 3
    await listen(page)
    server.away = True  # for new connections
    await notice(page, "Connection lost: resuming")
    await page.locator("#elapsed", has_text=re.compile("0:0[2-9]")).wait_for()
    await page.get_by_role("button", name="Stop").click()
    await page.locator("body[data-phase=leaving]").wait_for()
    server.away = False
    await page.locator("body[data-phase=idle]").wait_for()
    assert await words_on(page) == said(server.sessions[0].words)
    assert server.sessions[0].words > 3


async def test_a_session_that_is_gone_when_the_page_comes_back(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page()
    server.cut_at_words = 6
    await listen(page)
    server.refusal = ErrorCode.UNKNOWN_SESSION  # of new connections
    await notice(page, "The session could not be resumed")
    assert await words_on(page) == said(SEGMENT_WORDS)


async def pass_time(page: Any, title: str) -> None:
    """Lets the page's clock go on until a notice shows: in steps shorter than what could replace it."""
    for _ in range(120):
        await page.clock.run_for(250)
        if await page.locator("#notice-title", has_text=title).is_visible():
            return
    raise AssertionError(f"expected the notice {title!r} within 30 s of the page's clock")


async def test_a_connection_without_a_sign_of_life_is_given_up(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page()
    await page.clock.install()
    await listen(page)
    await page.locator("#unsettled:not(:empty)").wait_for()
    server.silent = True
    await pass_time(page, "Connection lost: resuming")
    server.silent = False
    await pass_time(page, "Connected again")
    assert server.sessions[0].connections >= 2


async def test_what_does_not_end_can_be_discarded(open_page: OpenPage, server: PageServer) -> None:
    server.held = True
    page = await open_page()
    await listen(page)
    await page.locator("#settled:not(:empty)").wait_for()
    await page.get_by_role("button", name="Stop").click()
    await page.get_by_role("button", name="Discard the rest").click()
    await page.locator("body[data-phase=idle]").wait_for()
    assert await page.locator(".unfinished").count() == 1
