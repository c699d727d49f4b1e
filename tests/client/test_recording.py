import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from client.audio_file import AudioSource
from client.errors import AudioFileError, UnsupportedError
from client.recording import transcribe, transcribe_file
from server.wire import Encoding, ErrorCode, Start
from tests.client.fake_server import FakeServer, Fault, said

WriteSpeech = Callable[..., Path]


@pytest.mark.asyncio
async def test_a_recording(write_speech: WriteSpeech) -> None:
    sent: list[int] = []

    def progress(source: AudioSource, count: int) -> None:
        assert source.seconds == 0.45
        sent.append(count)

    async with FakeServer() as server:
        transcript = await transcribe(write_speech("a.wav", 9), server.url, progress=progress, chunk_ms=160)
        (start,) = server.greetings
        assert isinstance(start, Start)
        assert (start.chunk_ms, start.words) == (160, True)
    assert transcript.text == said(9)
    assert [s.text for s in transcript.segments] == [said(4), said(4, 5), "w9"]
    assert (transcript.duration_ms, transcript.model) == (450, "fake")
    assert [(w.word, w.start_ms, w.end_ms) for w in transcript.words][-1] == ("w9", 400, 450)
    assert sent == [3_200, 6_400, 9_600, 12_800, 14_400]


@pytest.mark.asyncio
async def test_real_time(write_speech: WriteSpeech) -> None:
    loop = asyncio.get_running_loop()
    async with FakeServer() as server:
        began = loop.time()
        transcript = await transcribe(write_speech("a.wav", 5), server.url, real_time=True)
        assert loop.time() - began >= 0.25
    assert transcript.text == said(5)


@pytest.mark.asyncio
async def test_real_time_needs_a_length(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(b"\x1a\x45\xdf\xa3 and so on")
    with pytest.raises(AudioFileError, match="its length is not known"):
        await transcribe(path, "localhost", real_time=True)


@pytest.mark.asyncio
async def test_a_container_goes_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.webm"
    path.write_bytes(b"\x1a\x45\xdf\xa3" + bytes(50_000))
    async with FakeServer() as server:
        await transcribe(path, server.url)
        assert server.session.received == path.read_bytes()
        assert server.session.start == Start(encoding=Encoding.CONTAINER, words=True)


@pytest.mark.asyncio
async def test_a_refused_recording(write_speech: WriteSpeech) -> None:
    async with FakeServer((Fault(error_at=0, error=ErrorCode.UNSUPPORTED),)) as server:
        with pytest.raises(UnsupportedError):
            await transcribe(write_speech("a.wav", 3), server.url)


@pytest.mark.asyncio
async def test_without_asyncio(write_speech: WriteSpeech) -> None:
    async with FakeServer() as server:
        transcript = await asyncio.to_thread(transcribe_file, write_speech("a.wav", 3), server.url)
        assert transcript.text == said(3)
        with pytest.raises(RuntimeError, match=r"use `await client\.transcribe"):
            transcribe_file("a.wav", server.url)
