"""`asr-client bench`: many streams in real time, and how long their words take."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from client.api import connect
from client.audio_file import open_audio
from client.errors import EarshotError, RefusedError
from client.latency import Latencies, Stopwatch, Summary, summary
from client.pace import Pace
from client.references import Recording
from client.transcript import transcript_of
from server.wire import Encoding, Final
from server.wire.pcm import BYTES_PER_SAMPLE


@dataclass(frozen=True)
class Loaded:
    """A recording in memory, so that reading files is no part of what is measured.

    Attributes:
        name: Of the file.
        blocks: What is sent, a microphone's block at a time.
        sample_rate: Hertz.
        encoding: Of the blocks.
        reference: What is said in it; None if not known.
    """

    name: str
    blocks: tuple[bytes, ...]
    sample_rate: int
    encoding: Encoding
    reference: str | None


def load(recording: Recording) -> Loaded:
    """Reads a recording.

    Raises:
        AudioFileError: if it cannot be decoded here, or holds no audio.
    """
    source = open_audio(recording.path, decode=True)
    assert source.sample_rate is not None
    blocks = tuple(source.blocks())
    return Loaded(recording.path.name, blocks, source.sample_rate, source.encoding, recording.reference)


@dataclass(frozen=True)
class Result:
    """What a number of streams gave; see `client.latency` for the measures.

    Attributes:
        streams: Streams at a time.
        sessions: Recordings played to their ends.
        audio_s: Their length, in seconds.
        errors: How often a stream ended early, by the error's code or kind.
        wer: Word error rate over the recordings with references; None without references or jiwer.
    """

    streams: int
    sessions: int
    audio_s: float
    errors: dict[str, int]
    wer: float | None
    partial: Summary | None
    first_word: Summary | None
    final: Summary | None
    stop: Summary | None
    queue: Summary | None
    compute: Summary | None
    network: Summary | None


@dataclass
class _Tally:
    """What the streams of one run write into."""

    latencies: Latencies = field(default_factory=Latencies)
    errors: Counter[str] = field(default_factory=Counter)
    texts: list[tuple[str, str]] = field(default_factory=list)  # reference, hypothesis
    sessions: int = 0
    audio_s: float = 0.0


async def run_streams(
    url: str,
    recordings: Sequence[Loaded],
    streams: int,
    seconds: float,
    options: dict[str, Any],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Plays recordings in real time on several streams.

    Each stream plays one recording after another, a session each, until the time is over; the last ones are played
    to their ends. Streams begin spread over the first second, as those of people do.

    Args:
        url: Of the server.
        recordings: To play, in turn.
        streams: At a time.
        seconds: After which no recording is begun.
        options: Of `client.connect`.
        sleep: Waits, in seconds.
        clock: The time in seconds.
    """
    tally = _Tally()
    begin = clock()

    async def stream(number: int) -> None:
        await sleep(number / streams)
        turn = number
        while True:
            try:
                await _play(url, recordings[turn % len(recordings)], tally, options, sleep, clock)
            except EarshotError as error:
                tally.errors[error.code.value if isinstance(error, RefusedError) else type(error).__name__] += 1
                return  # a stream that is refused stays away: the others tell what the server holds
            turn += 1
            if clock() - begin >= seconds:
                return

    await asyncio.gather(*map(stream, range(streams)))
    measured = tally.latencies
    return Result(
        streams=streams,
        sessions=tally.sessions,
        audio_s=round(tally.audio_s, 2),
        errors=dict(tally.errors),
        wer=word_error_rate(tally.texts),
        **{name: summary(getattr(measured, name)) for name in vars(measured)},
    )


async def _play(
    url: str,
    recording: Loaded,
    tally: _Tally,
    options: dict[str, Any],
    sleep: Callable[[float], Awaitable[None]],
    clock: Callable[[], float],
) -> None:
    watch = Stopwatch(tally.latencies)
    finals: list[Final] = []
    per_second = recording.sample_rate * BYTES_PER_SAMPLE[recording.encoding]
    rate, encoding = recording.sample_rate, recording.encoding
    async with connect(url, sample_rate=rate, encoding=encoding, words=True, **options) as session:

        async def read() -> None:
            async for event in session:
                watch.came(event, clock())
                if isinstance(event, Final):
                    finals.append(event)

        reading = asyncio.create_task(read())
        try:
            pace, sent = Pace(sleep, clock), 0
            for block in recording.blocks:
                sent += len(block)
                await pace.until(sent / per_second)
                watch.sent(1000 * sent / per_second, clock())
                await session.send(block)
            stopped = clock()
            done = await session.stop()
            tally.latencies.stop.append(1000 * (clock() - stopped))
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    tally.sessions += 1
    tally.audio_s += done.audio_ms / 1000
    if recording.reference is not None:
        tally.texts.append((recording.reference, transcript_of(finals, done.audio_ms, "").text))


def word_error_rate(texts: Sequence[tuple[str, str]]) -> float | None:
    """Substituted, left out and added words for each word of the references.

    Args:
        texts: Pairs of reference and hypothesis.

    Returns:
        0 if all is right, beyond 1 if more is wrong than was said; None of no texts, or without jiwer.
    """
    if not texts:
        return None
    try:
        import jiwer
    except ModuleNotFoundError:
        return None
    references, hypotheses = zip(*texts, strict=True)
    return float(jiwer.wer(list(references), list(hypotheses)))
