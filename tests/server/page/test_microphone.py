"""Microphones that cannot be used."""

from pathlib import Path

import pytest

from tests.server.page.driving import OpenPage, listen, notice, words_on
from tests.server.page.page_server import WORD_MS, PageServer, said

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_microphone_that_is_refused(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page(microphone=False)
    await page.get_by_role("button", name="Start listening").click()
    assert "Allow it for this page" in await notice(page, "The microphone is blocked")
    await page.locator("body[data-phase=idle]").wait_for()
    await page.get_by_role("button", name="Dismiss").click()
    assert await page.locator("#notice").is_hidden()
    assert server.sessions == []


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("NotFoundError", "No microphone was found"),
        ("NotReadableError", "The microphone cannot be opened"),
        ("OverconstrainedError", "That microphone is gone"),
        ("AbortError", "The microphone cannot be used"),
    ],
)
async def test_microphones_that_do_not_work(open_page: OpenPage, name: str, title: str) -> None:
    page = await open_page()
    await page.evaluate(
        "name => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); }; }", name
    )
    await page.get_by_role("button", name="Start listening").click()
    await notice(page, title)


async def test_a_page_that_is_not_secure_says_so_and_still_takes_files(open_page: OpenPage, tmp_path: Path) -> None:
    page = await open_page("earshot.test", microphone=False)
    await page.get_by_role("button", name="Start listening").click()
    assert "Open it by https" in await notice(page, "This page may not use the microphone")
    await page.screenshot(path=tmp_path / "insecure.png", full_page=True)
    file = tmp_path / "speech.mp3"
    file.write_bytes(bytes(16 * WORD_MS))
    await page.locator("#file").set_input_files(file)
    await page.locator(".word").wait_for()


async def test_a_request_for_the_microphone_can_be_cancelled(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page()
    await page.evaluate(
        """() => { const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wish) => {
            await new Promise((go) => { window.answer = go; }); window.stream = await ask(wish); return window.stream;
        }; }"""
    )
    await page.get_by_role("button", name="Start listening").click()
    await page.get_by_role("button", name="Cancel").click()
    await page.locator("body[data-phase=idle]").wait_for()
    await page.evaluate("window.answer()")
    await page.evaluate(
        """async () => { while (window.stream?.getTracks()[0].readyState !== "ended")
        await new Promise(requestAnimationFrame); }"""
    )
    assert server.sessions == []


async def test_a_microphone_that_goes_away_ends_the_session_in_order(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page()
    await page.evaluate(
        """() => { const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wish) => (window.stream = await ask(wish)); }"""
    )
    await listen(page)
    await page.locator("#unsettled:not(:empty)").wait_for()
    await page.evaluate("window.stream.getTracks()[0].dispatchEvent(new Event('ended'))")
    await notice(page, "The microphone went away")
    await page.locator("body[data-phase=idle]").wait_for()
    assert await words_on(page) == said(server.sessions[0].words)
