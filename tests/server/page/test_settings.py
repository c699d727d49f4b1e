"""What the user may choose."""

from pathlib import Path

import pytest

from server.wire import ErrorCode
from tests.server.page.driving import OpenPage, listen, stop
from tests.server.page.page_server import PageServer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_token_goes_with_the_connection(open_page: OpenPage, server: PageServer, tmp_path: Path) -> None:
    server.refusal = ErrorCode.UNAUTHORIZED
    page = await open_page()
    await page.get_by_role("button", name="Start listening").click()
    dialog = page.get_by_role("dialog", name="Settings")
    await dialog.get_by_text("The server asks for a token. Enter one that it knows").wait_for()
    token = page.get_by_label("Access token")
    assert await token.evaluate("element => element === document.activeElement")
    await page.screenshot(path=tmp_path / "token.png")
    assert await page.locator(".take").count() == 0
    server.refusal = None
    await token.fill("söme token")
    await page.keyboard.press("Enter")
    await page.get_by_role("button", name="Start listening").click()
    await dialog.get_by_text("This token cannot be sent").wait_for()
    await token.fill("aB3-_.~x")
    await page.get_by_role("button", name="Done").click()
    await listen(page)
    await stop(page)
    assert server.tokens == [None, "aB3-_.~x"]
    await page.reload()
    assert await page.locator("#token").input_value() == "aB3-_.~x"


async def test_settings_are_asked_for(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page()
    await page.get_by_role("button", name="Settings").click()
    chunk = page.get_by_label("Audio recognised at a time")
    await page.locator("#server-state[data-state=ready]", has_text="test-model on CPU").wait_for()
    options = await chunk.locator("option").all_inner_texts()
    assert options == ["the server’s choice, 320 ms", "160 ms", "320 ms", "640 ms"]
    await chunk.select_option("640")
    await page.get_by_label("Show the block attention").uncheck()
    await page.get_by_role("button", name="Done").click()
    await listen(page)
    await stop(page)
    assert server.sessions[0].start.chunk_ms == 640
    assert not server.sessions[0].start.attention
    await page.reload()
    await page.locator("#server-state[data-state=ready]").wait_for()
    assert await page.locator("#chunk").input_value() == "640"
    assert not await page.locator("#want-attention").is_checked()


async def test_the_chunk_and_the_attention_are_the_servers_choice_and_on_without_settings(
    open_page: OpenPage, server: PageServer
) -> None:
    page = await open_page()
    await listen(page)
    await stop(page)
    assert server.sessions[0].start.chunk_ms is None
    assert server.sessions[0].start.attention
