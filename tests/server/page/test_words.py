"""The page of the default server, from microphone or file to words: those of `asr transcribe`. And where it looked."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from server.settings import Settings
from server.wire import Attention, Encoding, Final
from tests.server.app.running import Running, start_running, stop_running
from tests.server.page.driving import Recording, picture, record, recorded, stop, words_on

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).parents[3]
LOAD_S = 300.0  # for loading and compiling on a busy machine
CHUNK_MS = 320
BEAM = 16  # of the transducer, whose attention is that of the words
SOUND_MS = 5_000  # of the recording that has to be heard


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def run() -> AsyncIterator[Running]:
    """The service with the bundled model, warm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        settings = Settings(
            port=0, chunks_ms=(CHUNK_MS,), max_streams=2, batch=1, beam=BEAM, ping_s=LOAD_S, backlog_s=LOAD_S
        )
        running = await start_running(settings, None, wait_s=LOAD_S)
        yield running
        await stop_running(running)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Any, run: Running) -> AsyncIterator[Any]:
    """The page, allowed to hear."""
    url = f"http://127.0.0.1:{run.port}"
    context = await browser.new_context()
    context.set_default_timeout(1000 * LOAD_S)
    await context.grant_permissions(["microphone"], origin=url)
    page = await context.new_page()
    await page.goto(url)
    await page.locator("#server-state[data-state=ready]").wait_for()
    yield page
    await context.close()


def transcribed(file: Path) -> str:
    """What the command makes of a file."""
    command = [
        sys.executable,
        "-m",
        "asr.cli",
        "transcribe",
        str(file),
        "--chunk-ms",
        str(CHUNK_MS),
        "--beam",
        str(BEAM),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=file.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


async def test_a_file_on_the_page_gives_the_words_of_the_command(
    page: Any, recording: Recording, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "speech.wav", *recording)
    await page.locator("#file").set_input_files(tmp_path / "speech.wav")
    await page.locator(".take .take-head .number:not(:empty)").wait_for()
    words = await words_on(page)
    assert words == transcribed(tmp_path / "speech.wav")
    assert len(words.split()) > 8


async def test_the_microphone_gives_the_words_of_the_command(page: Any, tmp_path: Path) -> None:
    """Of just those samples that the browser recorded: the fake microphone begins when it likes."""
    await record(page)
    await page.get_by_role("button", name="Start listening").click()
    await page.locator("body[data-phase=open]").wait_for()
    rate = await page.evaluate("new AudioContext().sampleRate")  # whatever the browser takes
    async with asyncio.timeout(LOAD_S):
        while await page.evaluate("recorded.reduce((sum, block) => sum + block.length, 0)") < SOUND_MS * rate // 1000:
            await asyncio.sleep(0.1)
    await stop(page)
    samples = np.frombuffer(await recorded(page), "<i2")
    soundfile.write(tmp_path / "heard.wav", samples, rate, subtype="PCM_16")
    words = await words_on(page)
    assert words == transcribed(tmp_path / "heard.wav")
    assert len(words.split()) > 2  # a busy machine plays it in pieces


async def test_the_page_draws_the_attention_of_the_words(page: Any, recording: Recording, tmp_path: Path) -> None:
    """With a beam. What is drawn as text is caught on its way to the canvas."""
    await page.evaluate(
        """() => { const { clearRect, fillText } = CanvasRenderingContext2D.prototype;
        window.rows = [];
        CanvasRenderingContext2D.prototype.clearRect = function (...given) {
            if (this.canvas.id === "attention") window.rows = [];
            clearRect.apply(this, given);
        };
        CanvasRenderingContext2D.prototype.fillText = function (text, ...given) {
            if (this.canvas.id === "attention") window.rows.push(text);
            fillText.call(this, text, ...given);
        }; }"""
    )
    before = await picture(page, "#attention")
    soundfile.write(tmp_path / "speech.wav", *recording)
    await page.locator("#file").set_input_files(tmp_path / "speech.wav")
    await page.locator(".take .take-head .number:not(:empty)").wait_for()
    await page.locator("#attention[aria-label^='Latest block']").wait_for()
    name, *rows = await page.evaluate("new Promise((done) => setTimeout(() => done(window.rows), 500))")
    assert await picture(page, "#attention") != before
    assert name == "block done"
    assert len(rows) > 8
    spoken = " " + " ".join((await words_on(page)).split())
    assert spoken.endswith("".join(rows).replace("·", " "))


async def test_the_server_tells_where_the_model_looked(run: Running, recording: Recording) -> None:
    """Attention of the worker's blocks comes through the websocket, in step with the words."""
    samples, rate = recording
    async with run.connect() as client:
        await client.start(sample_rate=rate, encoding=Encoding.F32LE, attention=True)
        await client.audio(samples.astype("<f4").tobytes(), 12_800)
        await client.stop()
    looks = [event for event in client.events if isinstance(event, Attention)]
    last = {look.audio_ms: look for look in looks}  # blocks come again when another hypothesis is the likeliest
    assert list(last) == list(range(CHUNK_MS, CHUNK_MS * (len(last) + 1), CHUNK_MS))
    assert len(last) >= 1000 * len(samples) // rate // CHUNK_MS
    assert len(looks) > len(last)
    assert {look.frame_ms for look in looks} == {80.0}
    for look in looks:
        for weights in look.weights:
            assert len(weights) == 8 + CHUNK_MS // 80  # the look-back, then the block
            assert sum(weights) == pytest.approx(1.0, abs=0.01)
    finals = [event for event in client.events if isinstance(event, Final)]
    said = "".join(label for look in last.values() for label in look.labels).replace("▁", " ").split()
    assert said == " ".join(final.text for final in finals).split()
