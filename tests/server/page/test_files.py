"""Files that are transcribed, and transcripts that are taken away."""

from pathlib import Path

import numpy as np
import pytest

from server.wire import Encoding
from tests.server.page.driving import OpenPage, notice, words_on
from tests.server.page.page_server import SEGMENT_WORDS, WORD_MS, PageServer, said

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_file_is_sent_as_it_is(open_page: OpenPage, server: PageServer, tmp_path: Path) -> None:
    data = np.random.default_rng(1).bytes(16 * WORD_MS * 40)
    file = tmp_path / "A talk.mp3"
    file.write_bytes(data)
    page = await open_page()
    await page.locator("#file").set_input_files(file)
    await page.locator("body[data-phase=idle] #takes .word").nth(39).wait_for()
    heard = server.sessions[0]
    assert heard.start.encoding is Encoding.CONTAINER
    assert heard.start.sample_rate is None
    assert bytes(heard.audio) == data
    assert await words_on(page) == said(40)
    assert await page.locator(".take h3").inner_text() == "A talk.mp3"
    assert await page.locator("#total-latest").inner_text() == "–"


async def test_a_file_goes_on_where_it_was_when_the_connection_is_lost(
    open_page: OpenPage, server: PageServer, tmp_path: Path
) -> None:
    data = np.random.default_rng(2).bytes(16 * WORD_MS * 60)
    file = tmp_path / "talk.webm"
    file.write_bytes(data)
    server.cut_at_words = 20
    page = await open_page()
    await page.locator("#file").set_input_files(file)
    await page.locator(".word").nth(59).wait_for()
    await page.locator("body[data-phase=idle]").wait_for()
    assert bytes(server.sessions[0].audio) == data
    assert server.sessions[0].connections == 2


async def test_a_file_that_is_stopped_is_no_damaged_file(
    open_page: OpenPage, server: PageServer, tmp_path: Path
) -> None:
    file = tmp_path / "talk.webm"
    file.write_bytes(bytes(64 * 2**20))  # more than all buffers on the way hold
    server.read_on.clear()
    server.strict = True
    page = await open_page()
    await page.locator("#file").set_input_files(file)
    await page.locator("#unsettled:not(:empty)").wait_for()
    await page.get_by_role("button", name="Stop").click()
    server.read_on.set()
    await page.locator("body[data-phase=idle]").wait_for()
    heard = server.sessions[0]
    assert 0 < len(heard.audio) < file.stat().st_size
    assert await words_on(page) == said(heard.words)
    assert await page.locator("#notice").is_hidden()
    assert await page.locator(".unfinished").count() == 0


async def test_a_file_that_is_damaged_is_told_of(open_page: OpenPage, server: PageServer, tmp_path: Path) -> None:
    file = tmp_path / "talk.webm"
    file.write_bytes(bytes(16 * WORD_MS * 7))
    server.strict = True
    page = await open_page()
    await page.locator("#file").set_input_files(file)
    await notice(page, "This is not sound that the server can read")
    assert await words_on(page) == said(7)


async def test_a_dropped_file_is_transcribed(open_page: OpenPage, server: PageServer) -> None:
    page = await open_page()
    await page.evaluate(
        """bytes => { const dataTransfer = new DataTransfer();
        dataTransfer.items.add(new File([new Uint8Array(bytes)], "dropped.wav"));
        document.dispatchEvent(new DragEvent("drop", { dataTransfer, cancelable: true })); }""",
        16 * WORD_MS,
    )
    await page.locator("body[data-phase=idle] #takes .word").wait_for()
    assert await page.locator(".take h3").inner_text() == "dropped.wav"


async def test_transcripts_can_be_taken_away(open_page: OpenPage, tmp_path: Path) -> None:
    page = await open_page()
    file = tmp_path / "A talk.mp3"
    file.write_bytes(bytes(16 * WORD_MS * 7))
    await page.locator("#file").set_input_files(file)
    await page.locator("body[data-phase=idle] #takes .word").nth(6).wait_for()
    contents = {}
    for name in ("text", "SRT"):
        async with page.expect_download() as download:
            await page.get_by_role("button", name=f"Download as {name}").click()
        file = await download.value
        contents[file.suggested_filename] = (await file.path()).read_text(encoding="utf-8")
    words = said(7).split(" ")
    first, second = " ".join(words[:SEGMENT_WORDS]), " ".join(words[SEGMENT_WORDS:])
    assert contents == {
        "A-talk.txt": f"{first}\n{second}\n",
        "A-talk.srt": f"1\n00:00:00,040 --> 00:00:01,580\n{first}\n\n2\n00:00:01,640 --> 00:00:02,220\n{second}\n",
    }
    await page.get_by_role("button", name="Clear").click()
    assert await page.locator(".take").count() == 0
    assert await page.locator("#welcome").is_visible()


async def test_the_text_can_be_copied(open_page: OpenPage, server: PageServer, tmp_path: Path) -> None:
    page = await open_page()
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url())
    file = tmp_path / "talk.mp3"
    file.write_bytes(bytes(16 * WORD_MS * 5))
    await page.locator("#file").set_input_files(file)
    await page.locator("body[data-phase=idle] #takes .word").nth(4).wait_for()
    await page.get_by_role("button", name="Copy the text").click()
    await notice(page, "Copied.")
    assert await page.evaluate("navigator.clipboard.readText()") == f"{said(5)}\n"


async def test_a_recording_without_words_says_so(open_page: OpenPage, tmp_path: Path) -> None:
    page = await open_page()
    file = tmp_path / "silence.mp3"
    file.write_bytes(bytes(100))
    await page.locator("#file").set_input_files(file)
    await page.get_by_text("No words were recognised.").wait_for()
