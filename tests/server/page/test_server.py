"""The page against the real application, whose workers need no model: a word depends on all samples before it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import soundfile

from server.app.serve import Server
from server.settings import Settings
from tests.server.page.driving import WAIT_S, Recording, notice, words_on

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def application(fake_worker: Callable[..., Callable[[str], list[str]]]) -> AsyncIterator[Server]:
    """A server that takes streams."""
    server = Server(Settings(port=0, max_streams=4), fake_worker())
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(WAIT_S):
        while not (server.started and server._app.state.pool.ready):
            await asyncio.sleep(0.01)
    yield server
    server.should_exit = True
    async with asyncio.timeout(WAIT_S):
        await task


async def open_page(browser: Any, server: Server) -> Any:
    """The page, with a microphone."""
    port = server.servers[0].sockets[0].getsockname()[1]
    context = await browser.new_context()
    context.set_default_timeout(1000 * WAIT_S)
    await context.grant_permissions(["microphone"], origin=f"http://127.0.0.1:{port}")
    page = await context.new_page()
    await page.goto(f"http://127.0.0.1:{port}/")
    await page.locator("#server-state[data-state=ready]").wait_for()
    return page


async def transcribe(page: Any, file: Path) -> str:
    """The words of a recording."""
    takes = await page.locator(".take").count()
    await page.locator("#file").set_input_files(file)
    take = page.locator(".take").nth(takes)
    await take.locator(".take-head .number:not(:empty)").wait_for()
    return " ".join(await take.locator(".word").all_inner_texts())


async def test_a_lost_connection_changes_no_word(
    browser: Any, application: Server, recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "speech.wav", *recording)
    page = await open_page(browser, application)
    undisturbed = await transcribe(page, tmp_path / "speech.wav")
    assert len(undisturbed.split(" ")) == 18  # chunks of 320 ms in 5.6 s
    hearing, frames = application._app.state.sessions.hearing, 0
    hear = hearing.hear

    async def lose(seat: Any, data: bytes) -> None:
        nonlocal frames
        frames += 1
        if frames in (2, 5):
            for connection in application.server_state.connections:
                connection.transport.abort()
        await hear(seat, data)

    monkeypatch.setattr(hearing, "hear", lose)
    assert await transcribe(page, tmp_path / "speech.wav") == undisturbed
    assert frames > 5
    await page.context.close()


async def test_the_microphone_is_heard(browser: Any, application: Server, tmp_path: Path) -> None:
    page = await open_page(browser, application)
    await page.get_by_role("button", name="Start listening").click()
    await page.locator(".word").nth(7).wait_for()
    await page.locator("#latency[aria-label*='round trip']").wait_for()
    await page.screenshot(path=tmp_path / "server.png", full_page=True)
    await page.get_by_role("button", name="Stop").click()
    await page.locator("body[data-phase=idle]").wait_for()
    assert len((await words_on(page)).split(" ")) >= 8
    assert await page.locator("#notice").is_hidden()
    await page.context.close()


async def test_a_draining_server_ends_the_session_in_order(browser: Any, application: Server) -> None:
    page = await open_page(browser, application)
    await page.get_by_role("button", name="Start listening").click()
    await page.locator(".word").first.wait_for()
    sessions = application._app.state.sessions
    for seat in sessions.seats:
        sessions.run(seat, seat.session.drain)
    await notice(page, "The server is being stopped")
    assert await page.locator(".unfinished").count() == 0
    await page.context.close()
