"""What a person does with the page and sees on it."""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from tests.server.page.page_server import PageServer

OpenPage = Callable[..., Awaitable[Any]]
Recording = tuple[NDArray[np.float32], int]
RATE = 16_000
WAIT_S = 30.0  # for what takes a moment on a machine that does nothing else


async def listen(page: Any) -> None:
    """Press the button and wait for the server."""
    await page.get_by_role("button", name="Start listening").click()
    await page.locator("body[data-phase=open]").wait_for()


async def record(page: Any) -> None:
    """Keep what the microphone gives from now on, for `recorded`."""
    await page.evaluate(
        """() => { window.recorded = [];
        const property = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
        Object.defineProperty(MessagePort.prototype, "onmessage", { ...property, set(take) {
            property.set.call(this, (event) => {
                if (event.data.samples) window.recorded.push(event.data.samples.slice());
                take.call(this, event);
            });
        } }); }"""
    )


async def recorded(page: Any) -> bytes:
    """What the microphone gave, as s16le."""
    script = "recorded.map((block) => btoa(String.fromCharCode(...new Uint8Array(block.buffer))))"
    return b"".join(map(base64.b64decode, await page.evaluate(script)))


async def stop(page: Any) -> None:
    """Press the button and wait for everything to be final."""
    await page.get_by_role("button", name="Stop").click()
    await page.locator("body[data-phase=idle]").wait_for()


async def notice(page: Any, title: str) -> str:
    """Wait for a notice; all of its text."""
    await page.locator("#notice-title", has_text=title).wait_for()
    return str(await page.locator("#notice").inner_text())


async def words_on(page: Any) -> str:
    """The words of all finals on the page."""
    return " ".join(await page.locator(".word").all_inner_texts())


async def picture(page: Any, canvas: str) -> str:
    """What a canvas shows, for comparing."""
    return str(await page.locator(canvas).evaluate("canvas => canvas.toDataURL()"))


def likeness(heard: NDArray[np.float32], played: NDArray[np.float32]) -> list[float]:
    """The largest correlation coefficient of each quarter second that was played with any that was heard, at `RATE`.

    Quarter seconds, because the browser's fake microphone leaves samples out when the machine is busy.
    """
    width = RATE // 4
    size = 2 * len(heard) + width
    energy = np.convolve(heard.astype(np.float64) ** 2, np.ones(width))[width - 1 :]
    best = []
    for begin in range(0, len(played) - width, width):
        piece = played[begin : begin + width].astype(np.float64)
        product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(piece, size)), size)[: len(energy)]
        best.append(float(np.max(product / np.sqrt(energy * np.sum(piece**2) + 1e-6))))
    return best


def samples_of(server: PageServer, session: int = 0) -> NDArray[np.float32]:
    """What a session heard, at 16 kHz."""
    heard = server.sessions[session]
    assert heard.start.sample_rate is not None
    samples = np.frombuffer(bytes(heard.audio), "<i2").astype(np.float32) / 32768
    return np.asarray(soxr.resample(samples, heard.start.sample_rate, RATE), np.float32)
