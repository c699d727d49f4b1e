"""Modules of the page by themselves, in the browser."""

from typing import Any

import numpy as np
import pytest

from client.formats import Format, format_transcript
from client.transcript import Segment, Transcript
from server.wire import ErrorCode, Word
from tests.server.page.driving import OpenPage

pytestmark = pytest.mark.asyncio(loop_scope="session")


def transcript(seed: int) -> Transcript:
    """Words of all lengths, with pauses of all lengths, some out of order or overlapping."""
    rng = np.random.default_rng(seed)
    segments, now = [], 0
    for _ in range(rng.integers(1, 6)):
        words = []
        for _ in range(rng.integers(1, 40)):
            start = now + int(rng.choice([0, 50, 999, 1000, 3000]))
            now = start + int(rng.choice([0, 100, 400, 6000]))
            text = "naïve 😀"[: rng.integers(1, 8)] * int(rng.choice([1, 2, 7]))
            words.append(Word(word=str(rng.choice([text, " ", "a\nb"])), start_ms=start, end_ms=now, confidence=0.5))
        segments.append(Segment(" ".join(word.word for word in words), tuple(words)))
    return Transcript(tuple(segments), now, "test-model")


async def test_text_and_subtitles_are_those_of_the_client(open_page: OpenPage) -> None:
    page = await open_page(microphone=False)
    for seed in range(40):
        wanted = transcript(seed)
        segments = [
            {"text": s.text, "words": [{"word": w.word, "start_ms": w.start_ms, "end_ms": w.end_ms} for w in s.words]}
            for s in wanted.segments
        ]
        text, srt = await page.evaluate(
            """async segments => { const { toText, toSrt } = await import("/subtitles.js");
            return [toText(segments), toSrt(segments)]; }""",
            segments,
        )
        assert text == format_transcript(wanted, Format.text)
        assert srt == format_transcript(wanted, Format.srt)


async def test_nothing_said_is_an_empty_line(open_page: OpenPage) -> None:
    page = await open_page(microphone=False)
    script = 'async () => { const { toText, toSrt } = await import("/subtitles.js"); return toText([]) + toSrt([]); }'
    assert await page.evaluate(script) == "\n\n"


async def test_sound_is_kept_until_it_is_acknowledged(open_page: OpenPage) -> None:
    page = await open_page(microphone=False)
    got = await page.evaluate(
        """async () => { const { LiveSource } = await import("/source.js");
        const source = new LiveSource(20);
        const added = [];
        const block = (first) => new Int16Array([first, first + 1, first + 2]);
        for (const first of [0, 3, 6, 9]) added.push(source.add(block(first)));
        source.forget(8);
        source.forget(2);
        added.push(source.add(block(9)));
        const kept = [...new Int16Array(source.slice(8, 24).buffer)];
        source.close();
        added.push(source.add(block(12)));
        return { added, kept, start: source.start, end: source.end }; }"""
    )
    assert got == {
        "added": [True, True, True, False, True, False],
        "kept": [4, 5, 6, 7, 8, 9, 10, 11],
        "start": 8,
        "end": 24,
    }


async def test_silence_is_told_once_and_its_end(open_page: OpenPage) -> None:
    page = await open_page(microphone=False)
    await page.clock.install()
    await page.evaluate(
        """async () => { const { LevelMeter } = await import("/meters.js");
        window.told = [];
        window.meter = new LevelMeter((quiet) => window.told.push(quiet));
        window.meter.reset(); }"""
    )
    for rms in (0.0, 0.0001, 0.0, 0.1, 0.0):
        await page.evaluate("rms => window.meter.show({ rms, peak: rms })", rms)
        await page.clock.run_for(3_000)
    assert await page.evaluate("window.told") == [True, False]


READY = {"opened": True, "ready": True, "greeting": False}
COMING_BACK = {"opened": True, "ready": True, "greeting": True}
FIRST = {"opened": True, "ready": False, "greeting": True}


@pytest.mark.parametrize(
    ("close_code", "told", "had", "expected"),
    [
        (1006, None, READY, None),
        (1001, None, READY, None),
        (1011, None, READY, None),  # a ping that was not answered
        (1011, "internal", READY, "internal"),
        (4421, "too_fast", READY, None),
        (4420, None, READY, None),
        (4408, None, READY, "idle_timeout"),
        (1013, "overloaded", COMING_BACK, None),
        (1012, "shutting_down", COMING_BACK, None),
        (1013, "overloaded", READY, "overloaded"),
        (4404, "unknown_session", COMING_BACK, "unknown_session"),
        (4404, "internal", COMING_BACK, "internal"),
        (1013, "overloaded", FIRST, "overloaded"),
        (1006, "overloaded", FIRST, "overloaded"),
        (1006, None, FIRST, "closed"),
        (1006, None, {**FIRST, "opened": False}, "unreachable"),
    ],
)
async def test_what_the_end_of_a_connection_means(
    open_page: OpenPage, close_code: int, told: str | None, had: dict[str, bool], expected: str | None
) -> None:
    page = await open_page(microphone=False)
    error = None if told is None else {"code": told, "message": "why"}
    refusal = await page.evaluate(
        """async ([closing, told, had]) => (await import("/protocol.js")).refusalOf(closing, told, had)""",
        [{"code": close_code, "reason": "why"}, error, had],
    )
    assert (refusal and refusal["code"]) == expected


async def test_every_refusal_has_its_text_and_its_close_code(open_page: OpenPage) -> None:
    page = await open_page(microphone=False)
    for code in ErrorCode:
        title: str = await page.evaluate(
            """async code => (await import("/texts.js")).sessionText({ code, message: "" })[0]""", code.value
        )
        assert title != "The server refused"
        had: dict[str, Any] = {"opened": True, "ready": True, "greeting": False}
        refusal = await page.evaluate(
            """async ([code, close, had]) => (await import("/protocol.js")).refusalOf(
            { code: close, reason: "" }, { code, message: "" }, had)""",
            [code.value, code.close_code, had],
        )
        resumable = code in (ErrorCode.TOO_FAST, ErrorCode.TOO_SLOW)
        assert refusal == (None if resumable else {"code": code.value, "message": ""})


async def test_the_last_words_attention_is_shown_when_the_recording_is_over(open_page: OpenPage) -> None:
    page = await open_page(microphone=False)
    pictures = await page.evaluate(
        """async () => {
        const { AttentionPicture } = await import("/attention.js");
        const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const canvas = document.getElementById("attention");
        const picture = new AttentionPicture();
        const read = (number, labels) => picture.add({ audio_ms: 320 * number, frame_ms: 80, labels,
            weights: labels.map(() => [0.1, 0.2, 0.6, 0.1]), end_probability: 0.9 });
        const pictures = [];
        const look = async () => { await drawn(); pictures.push(canvas.toDataURL()); };
        picture.begin(true);
        read(1, ["▁the", "▁end"]);
        read(2, []);
        await look();
        for (let number = 3; number < 60; number += 1) read(number, []);
        await look();
        picture.end(false);
        await look();
        return pictures; }"""
    )
    spoken, silent, over = pictures
    assert over == spoken
    assert silent != spoken


async def test_a_block_that_is_told_again_is_drawn_in_place_of_the_old_one(open_page: OpenPage) -> None:
    page = await open_page(microphone=False)
    told = await page.evaluate(
        """async () => {
        const { AttentionPicture } = await import("/attention.js");
        const drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        const canvas = document.getElementById("attention");
        const shown = [];
        const show = async (...blocks) => {
            const picture = new AttentionPicture();
            picture.begin(true);
            for (const [end, ...labels] of blocks) picture.add({ audio_ms: end, frame_ms: 80, labels,
                weights: labels.map(() => [0.1, 0.2, 0.6, 0.1]), end_probability: 0.9 });
            await drawn();
            shown.push(canvas.toDataURL());
        };
        await show([320, "▁a"], [640], [960, "▁the"]);
        await show([320, "▁an"], [640, "▁end"], [960, "▁the"]);
        await show([320, "▁a"], [640], [320, "▁an"], [640, "▁end"], [960, "▁the"]);
        await show([320, "▁an"], [640, "▁end"], [960, "▁the"], [800, "▁lost"]);
        return shown; }"""
    )
    old, new, again, amid = told
    assert new != old
    assert again == new
    assert amid == new  # read again after a pause, in other blocks
