"""The page while somebody speaks."""

import re
from pathlib import Path

import numpy as np
import pytest
import soxr

from server.wire import Encoding
from tests.server.page.driving import RATE, OpenPage, Recording, likeness, listen, picture, samples_of, stop, words_on
from tests.server.page.page_server import SEGMENT_WORDS, WORD_MS, PageServer, said

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_speech_reaches_the_server_and_words_the_page(
    open_page: OpenPage, server: PageServer, recording: Recording, tmp_path: Path
) -> None:
    page = await open_page()
    await page.screenshot(path=tmp_path / "idle.png", full_page=True)
    await listen(page)
    await page.locator("#unsettled:not(:empty)").wait_for()
    await page.locator("#settled:not(:empty)").wait_for()
    await page.locator(".word").nth(14).wait_for()
    await page.screenshot(path=tmp_path / "listening.png", full_page=True)
    await stop(page)
    heard = server.sessions[0]
    assert heard.start.words
    assert heard.start.encoding is Encoding.S16LE
    assert await words_on(page) == said(heard.words)
    assert heard.audio_ms >= 15 * WORD_MS
    played = soxr.resample(*recording, RATE)[: 15 * WORD_MS * RATE // 1000 - RATE]
    like = likeness(samples_of(server), played)
    unlike = likeness(samples_of(server), played[::-1])  # the same sounds, backwards
    assert max(like) > 0.95
    assert np.median(like) > np.median(unlike) + 0.1
    await page.screenshot(path=tmp_path / "done.png", full_page=True)


async def test_the_meters_show_something(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page()
    empty = await picture(page, "#latency"), await picture(page, "#attention")
    await listen(page)
    await page.locator("#level[aria-valuetext*=decibels]").wait_for()
    await page.locator("#latency[aria-label*='round trip']").wait_for()
    await page.locator("#attention[aria-label*=Latest]").wait_for()
    await page.locator(".word").nth(4).wait_for()
    assert re.fullmatch(r"\d+(\.\d)?", await page.locator("#total-latest").inner_text())
    assert float(await page.locator("#compute-p50").inner_text()) in (20, 25, 30, 35)
    assert await picture(page, "#latency") != empty[0]
    assert await picture(page, "#attention") != empty[1]
    await page.locator("#elapsed", has_text=re.compile(r"^0:0[1-9]$")).wait_for()
    await stop(page)


async def test_words_tell_how_sure_they_are(open_page: OpenPage) -> None:
    page = await open_page()
    await listen(page)
    await page.locator(".word").nth(SEGMENT_WORDS - 1).wait_for()
    await stop(page)
    words = page.locator(".word")
    doubts = [await words.nth(i).get_attribute("data-doubt") for i in range(SEGMENT_WORDS)]
    assert doubts == ["0", "1", "2", "3", "4"]
    assert await words.nth(2).get_attribute("title") == "60 % sure, 0.68 to 0.94 s"
    await page.locator("#takes").focus()
    for _ in range(3):
        await page.keyboard.press("ArrowRight")
    assert await page.locator("#word").inner_text() == "“harpies”: 60 % sure, 0.68 to 0.94 s"
    await page.keyboard.press("Home")
    assert await page.evaluate("document.activeElement.textContent") == "perhaps"
    await page.keyboard.press("ArrowLeft")
    assert await page.evaluate("document.activeElement.textContent") == "perhaps"


async def test_screen_readers_are_told_of_finals_and_of_what_happens(open_page: OpenPage) -> None:
    page = await open_page()
    log = page.get_by_role("log", name="Transcript")
    assert await log.get_attribute("aria-live") == "polite"
    assert await page.locator("#notice").get_attribute("role") == "status"
    assert await page.locator("#phase").get_attribute("aria-live") == "polite"
    assert await page.get_by_role("meter", name="Microphone level").count() == 1
    assert await page.get_by_role("img").count() == 2
    for name in ("Start listening", "Clear", "Settings"):
        assert await page.get_by_role("button", name=name).count() == 1
    await page.get_by_role("button", name="Settings").click()
    dialog = page.get_by_role("dialog", name="Settings")
    await dialog.wait_for()
    for name in ("Access token", "Audio recognised at a time", "Microphone", "Colours", "Show the block attention"):
        assert await dialog.get_by_label(name, exact=True).count() == 1
    assert await page.locator("#token").evaluate("element => element === document.activeElement")
    await page.keyboard.press("Escape")
    assert await dialog.count() == 0


async def test_everything_works_by_keyboard(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.locator("body[data-phase=open]").wait_for()
    await page.keyboard.press("Enter")
    await page.locator("body[data-phase=idle]").wait_for()
    assert len(server.sessions) == 1


async def test_light_and_dark(open_page: OpenPage, tmp_path: Path) -> None:
    page = await open_page(color_scheme="dark")

    async def background() -> int:
        colour = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", colour)[:3]))

    async def choose(colours: str) -> None:
        await page.get_by_role("button", name="Settings").click()
        await page.get_by_label("Colours").select_option(colours)
        await page.get_by_role("button", name="Done").click()

    assert await background() < 150
    await choose("light")
    assert await background() > 600
    await page.emulate_media(color_scheme="light")
    await choose("dark")
    assert await background() < 150
    await page.reload()
    assert await background() < 150
    await listen(page)
    await page.locator(".word").nth(9).wait_for()
    await page.screenshot(path=tmp_path / "dark.png", full_page=True)


@pytest.mark.parametrize("width", [320, 390, 768])
async def test_narrow_screens_need_no_sideways_scrolling(open_page: OpenPage, width: int, tmp_path: Path) -> None:
    page = await open_page(viewport={"width": width, "height": 800}, device_scale_factor=2)
    await listen(page)
    await page.locator(".word").nth(SEGMENT_WORDS - 1).wait_for()
    await page.screenshot(path=tmp_path / "narrow.png", full_page=True)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    box = await page.get_by_role("button", name="Stop").bounding_box()
    assert box["height"] >= 44  # WCAG 2.2, success criterion 2.5.5: a finger's target
    await stop(page)
