"""Recordings to text."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from client.api import connect
from client.audio_file import AudioSource, open_audio
from client.errors import AudioFileError
from client.pace import Pace
from client.transcript import Transcript, transcript_of
from server.wire import Final


async def transcribe(
    path: str | Path,
    url: str,
    *,
    real_time: bool = False,
    progress: Callable[[AudioSource, int], None] | None = None,
    **options: Any,
) -> Transcript:
    """Sends a recording to a server.

    Args:
        path: An audio file of any kind that libsndfile or the server reads.
        url: Of the server, such as `ws://localhost:8080`.
        real_time: Whether to send as fast as it was spoken, or as fast as the server takes it.
        progress: Called with the bytes sent so far.
        options: As of `client.connect`, but for `sample_rate` and `encoding`; `words` is on unless it is given.

    Raises:
        AudioFileError: if the file cannot be read.
        EarshotError: if the server cannot be used.
        ValueError: for an option out of range.
    """
    source = open_audio(Path(path))
    if real_time and not source.bytes_per_second:
        raise AudioFileError(f"{path}: its length is not known, which real time needs: convert it to WAV")
    options = {"words": True, **options}
    async with connect(url, sample_rate=source.sample_rate, encoding=source.encoding, **options) as session:
        pace, sent = Pace(), 0
        for block in source.blocks(steady=real_time):
            sent += len(block)
            if real_time:  # as a microphone, which gives a block when its last sample was spoken
                await pace.until(sent / source.bytes_per_second)
            await session.send(block)
            if progress is not None:
                progress(source, sent)
        done = await session.stop()
        finals = [event async for event in session if isinstance(event, Final)]
        return transcript_of(finals, done.audio_ms, session.ready.model)


def transcribe_file(path: str | Path, url: str, **options: Any) -> Transcript:
    """As `transcribe`, for programs without asyncio.

    Raises:
        RuntimeError: inside a running event loop.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(transcribe(path, url, **options))
    raise RuntimeError("expected no running event loop: use `await client.transcribe(…)` there")
