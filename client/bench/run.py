"""A number of streams at a time, and how long their words take."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from client.bench.latency import Latencies, Stopwatch, Summary, percentiles, summary
from client.bench.pacing import Pacing
from client.bench.recordings import Loaded
from client.bench.stream import Played, Target, Timer, play
from client.errors import EarshotError, RefusedError
from client.transcript import transcript_of

SPREAD_S = 1.0  # over which streams begin, at least: those of people do not begin together
STARTS_PER_S = 50  # streams that begin in a second, at most
LINGER_S = 20.0  # that sessions get for their ends, beyond their recordings' lengths


@dataclass(frozen=True)
class Result:
    """What a number of streams gave; see `client.bench.latency` for the measures.

    Attributes:
        streams: Streams at a time.
        measured_s: Seconds for which latencies were measured, all streams running.
        sessions: Recordings played to their ends.
        audio_s: Their length, in seconds.
        speed: Seconds of audio that were recognised in each second, all streams together.
        errors: How often a stream ended early, by the error's code or kind.
        wer: Word error rate over the recordings with references, each counted once; None without references or jiwer.
        real_time_factor: Mean computation of a chunk's batch by the chunk's duration; None without partials.
        client_cores: CPU seconds that this client took in each second.
        chunk_ms: Audio recognised at a time, in milliseconds, as the server said; 0 if no session began.
        distribution: Percentiles 0 to 100 of the chunks' latencies, in milliseconds; empty without any.
    """

    streams: int
    measured_s: float
    sessions: int
    audio_s: float
    speed: float
    errors: dict[str, int]
    wer: float | None
    real_time_factor: float | None
    client_cores: float
    chunk_ms: int
    distribution: tuple[float, ...]
    chunk: Summary | None
    queue: Summary | None
    compute: Summary | None
    network: Summary | None
    word: Summary | None
    first_partial: Summary | None
    final: Summary | None
    stop: Summary | None
    late: Summary | None


@dataclass
class _Tally:
    """What the streams of one run write into."""

    latencies: Latencies = field(default_factory=Latencies)
    errors: Counter[str] = field(default_factory=Counter)
    texts: list[tuple[str, str]] = field(default_factory=list)  # reference, hypothesis
    begun: int = 0  # recordings, by all streams together
    sessions: int = 0
    audio_s: float = 0.0
    chunk_ms: int = 0

    def played(self, recording: Loaded, played: Played) -> None:
        """Counts a session."""
        assert played.ready is not None
        assert played.done is not None
        self.latencies.add("stop", 1000 * played.stop_s)
        self.sessions += 1
        self.audio_s += played.done.audio_ms / 1000
        self.chunk_ms = played.ready.chunk_ms
        if recording.reference is not None:
            text = transcript_of(played.finals, played.done.audio_ms, "").text
            self.texts.append((recording.reference, text))


async def run_streams(
    target: Target,
    recordings: Sequence[Loaded],
    streams: int,
    seconds: float,
    timer: Timer | None = None,
    complete: bool = False,
) -> Result:
    """Plays recordings on several streams.

    Each stream plays one recording after another, a session each, until the time is over; the last ones are played
    to their ends. Latencies are measured for the given time, which begins when the last stream has begun.

    Args:
        target: The server.
        recordings: To play, in turn.
        streams: At a time.
        seconds: That are measured, and after which no recording is begun.
        timer: The time, and callbacks at times; None: the event loop's.
        complete: Whether recordings that no stream came to are played at the end, as fast as the server takes them
            and without being timed, so that the word error rate is of all.
    """
    timer = timer or asyncio.get_running_loop()
    tally = _Tally()
    begin, cpu = timer.time(), time.process_time()
    apart_s = max(SPREAD_S, streams / STARTS_PER_S) / streams
    measure, end = begin + apart_s * (streams - 1), begin + apart_s * (streams - 1) + seconds
    tally.latencies.counting = False
    timer.call_at(measure, lambda: setattr(tally.latencies, "counting", True))
    timer.call_at(end, lambda: setattr(tally.latencies, "counting", False))
    tasks = [
        asyncio.create_task(_stream(target, recordings, begin + apart_s * number, end, tally, timer))
        for number in range(streams)
    ]
    longest = max(recording.seconds for recording in recordings)
    _, late = await asyncio.wait(tasks, timeout=end - begin + longest + LINGER_S)
    for task in late:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    tally.errors.update({"unfinished": len(late)} if late else {})
    took_s, cpu_s, heard_s = max(timer.time() - begin, 1e-9), time.process_time() - cpu, tally.audio_s
    if complete and not tally.errors:
        await _complete(target, recordings[min(tally.begun, len(recordings)) :], tally, timer)
    return _result(streams, seconds, tally, heard_s / took_s, cpu_s / took_s)


async def _complete(target: Target, rest: Sequence[Loaded], tally: _Tally, timer: Timer) -> None:
    """Plays recordings one after another, fast."""
    for recording in rest:
        try:
            watch = Stopwatch(tally.latencies, recording.ends_ms)
            tally.played(recording, await play(replace(target, pacing=Pacing.fast), recording, watch, timer))
        except EarshotError as error:
            tally.errors[_kind(error)] += 1


def _kind(error: EarshotError) -> str:
    """Under which an error is counted."""
    return error.code.value if isinstance(error, RefusedError) else type(error).__name__


async def _stream(
    target: Target, recordings: Sequence[Loaded], begin: float, end: float, tally: _Tally, timer: Timer
) -> None:
    """Whichever recording is next, one after another, from `begin` until `end`."""
    await _until(begin, timer)
    while True:
        recording = recordings[tally.begun % len(recordings)]
        tally.begun += 1
        try:
            watch = Stopwatch(tally.latencies, recording.ends_ms)
            tally.played(recording, await play(target, recording, watch, timer))
        except EarshotError as error:
            tally.errors[_kind(error)] += 1
            return  # a stream that is refused stays away: the others tell what the server holds
        if timer.time() >= end:
            return


async def _until(when: float, timer: Timer) -> None:
    """Waits until a time."""
    reached = asyncio.Event()
    timer.call_at(when, reached.set)
    await reached.wait()


def _result(streams: int, seconds: float, tally: _Tally, speed: float, cores: float) -> Result:
    measured = tally.latencies
    compute = summary(measured["compute"])
    return Result(
        streams=streams,
        measured_s=seconds,
        sessions=tally.sessions,
        audio_s=round(tally.audio_s, 2),
        speed=round(speed, 2),
        errors=dict(tally.errors),
        wer=word_error_rate(tally.texts),
        real_time_factor=round(compute.mean / tally.chunk_ms, 4) if compute and tally.chunk_ms else None,
        client_cores=round(cores, 3),
        chunk_ms=tally.chunk_ms,
        distribution=percentiles(measured["chunk"]),
        chunk=summary(measured["chunk"]),
        queue=summary(measured["queue"]),
        compute=compute,
        network=summary(measured["network"]),
        word=summary(measured["word"]),
        first_partial=summary(measured["first_partial"]),
        final=summary(measured["final"]),
        stop=summary(measured["stop"]),
        late=summary(measured["late"]),
    )


def word_error_rate(texts: Sequence[tuple[str, str]]) -> float | None:
    """Substituted, left out and added words for each word of the references.

    Each recording counts once, however often it was played: else the rates of different numbers of streams would be
    of different texts.

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
    heard: dict[str, list[str]] = {}
    for reference, hypothesis in texts:
        heard.setdefault(reference, []).append(hypothesis)
    words = {reference: len(reference.split()) for reference in heard}
    wrong = sum(jiwer.wer([one] * len(found), found) * words[one] for one, found in heard.items())
    return float(wrong / sum(words.values()))
