"""Chromium with a fake microphone that plays a recording of real speech, and a server for the page."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soundfile
import soxr
from numpy.typing import NDArray

from tests.server.page.driving import WAIT_S
from tests.server.page.page_server import PageServer

SAMPLES = Path(__file__).parents[3] / "data" / "samples"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
INSECURE_HOST = "earshot.test"  # resolves to this machine, but browsers trust only names that always do


@pytest.fixture(scope="session")
def recording() -> tuple[NDArray[np.float32], int]:
    """Real speech, 5.6 s, and its sample rate."""
    samples, rate = soundfile.read(SAMPLES / "422-122949-0033.mp3", dtype="float32")
    return samples, rate


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(
    recording: tuple[NDArray[np.float32], int], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Any]:
    """Chromium, whose microphone plays the recording once."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: apt-get install chromium)")
    from playwright.async_api import async_playwright

    wav = tmp_path_factory.mktemp("microphone") / "speech.wav"
    samples, rate = recording
    soundfile.write(wav, soxr.resample(samples, rate, 48_000), 48_000, subtype="PCM_16")
    arguments = [
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={wav}%noloop",
        f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
        "--no-sandbox",  # root, in containers, has no user namespaces
        "--disable-gpu",
    ]
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[PageServer]:
    """A server that serves the page."""
    async with PageServer() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(browser: Any, server: PageServer) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
    """Opens the page; afterwards nothing may have been fetched elsewhere and nothing complained of."""
    contexts, complaints = [], []
    # Browsers complain when the server goes away, as some tests let it, and of a header on pages that are not secure.
    expected = ("/readyz", "/v1/stream", "Cross-Origin-Opener-Policy", "/capture-worklet.js", "ERR_EMPTY_RESPONSE")

    def complain(message: Any) -> None:
        text = f"{message.text} {message.location['url']}"
        if message.type in ("error", "warning") and not any(part in text for part in expected):
            complaints.append(text)

    def fetched(request: Any) -> None:
        if not request.url.startswith(("blob:", server.url(), server.url(INSECURE_HOST))):
            complaints.append(f"fetched {request.url}")

    async def make(host: str = "127.0.0.1", microphone: bool = True, **options: Any) -> Any:
        context = await browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(1000 * WAIT_S)
        if microphone:
            await context.grant_permissions(["microphone"], origin=server.url(host))
        page = await context.new_page()
        page.on("console", complain)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", fetched)
        await page.goto(server.url(host))
        return page

    yield make
    for context in contexts:
        await context.close()
    assert complaints == []
