import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from client.bench.latency import Summary
from client.bench.pacing import Pacing
from client.bench.recordings import Loaded, load
from client.bench.references import Recording
from client.bench.run import Result, run_streams, word_error_rate
from client.bench.stream import Target
from server.wire import ErrorCode
from tests.client.fake_server import FakeServer, Fault

WriteSpeech = Callable[..., Path]


def loaded(write_speech: WriteSpeech, words: int, reference: str | None = None) -> Loaded:
    return load(Recording(write_speech(f"{words}.wav", words), reference))


class FastTimer:
    """Time that runs twenty times as fast as the real one."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def time(self) -> float:
        return 20 * self.loop.time()

    def call_at(self, when: float, callback: Callable[[], None], /) -> None:
        self.loop.call_at(when / 20, callback)


def target(server: FakeServer, pacing: Pacing = Pacing.realtime) -> Target:
    return Target(f"{server.url}/v1/stream", server.token, None, pacing)


async def run(server: FakeServer, recordings: list[Loaded], streams: int = 1, seconds: float = 0.0) -> Result:
    async with asyncio.timeout(30):
        return await run_streams(target(server), recordings, streams, seconds, FastTimer())


@pytest.mark.asyncio
async def test_one_stream_in_real_time(write_speech: WriteSpeech) -> None:
    async with FakeServer() as server:
        began = asyncio.get_running_loop().time()
        recording = loaded(write_speech, 6, "w1 w2 w3 w4 w5 w9")
        async with asyncio.timeout(60):
            result = await run_streams(target(server), [recording], 1, 0.25)
        assert asyncio.get_running_loop().time() - began >= 0.3
    assert result.streams == 1
    assert result.sessions == len(server.sessions) >= 1
    assert result.audio_s == pytest.approx(0.3 * result.sessions)
    assert result.errors == {}
    assert result.wer == pytest.approx(1 / 6)
    assert result.chunk_ms == 50
    assert result.chunk is not None
    assert 0 < result.chunk.p50 < 10_000
    count = result.chunk.count
    assert result.queue == Summary(count, 1.0, 1.0, 1.0, 1.0, 1.0)
    assert result.compute == Summary(count, 2.0, 2.0, 2.0, 2.0, 2.0)
    assert result.real_time_factor == pytest.approx(2 / 50)
    assert result.late is not None
    assert len(result.distribution) == 101
    assert result.distribution[50] == result.chunk.p50
    assert result.client_cores > 0


@pytest.mark.asyncio
async def test_all_measures(write_speech: WriteSpeech) -> None:
    async with FakeServer() as server:
        result = await run(server, [loaded(write_speech, 6)], seconds=10.0)
    for name in ("chunk", "network", "word", "first_partial", "final", "late"):
        assert getattr(result, name) is not None, name


@pytest.mark.asyncio
async def test_streams_play_in_turn_until_the_time_is_over(write_speech: WriteSpeech) -> None:
    recordings = [loaded(write_speech, words) for words in (4, 8, 2)]
    async with FakeServer() as server:
        result = await run(server, recordings, streams=2, seconds=40.0)
        first = [session.samples for session in server.sessions.values()]
    assert result.sessions == len(first) > 4
    assert result.wer is None
    assert set(first) == {3_200, 6_400, 1_600}


@pytest.mark.asyncio
async def test_what_no_stream_came_to_is_played_for_its_words(write_speech: WriteSpeech) -> None:
    recordings = [loaded(write_speech, words, "w1 w2 " + "w9 " * (words - 2)) for words in (2, 4, 8)]
    async with asyncio.timeout(60), FakeServer() as server:
        result = await run_streams(target(server), recordings, 1, 0.0, complete=True)
        assert sorted(session.samples for session in server.sessions.values()) == [1_600, 3_200, 6_400]
    assert result.sessions == 3
    assert result.wer == pytest.approx((0 + 2 + 6) / 14)
    assert result.speed < 2


@pytest.mark.asyncio
async def test_nothing_more_is_asked_of_a_server_that_refuses(write_speech: WriteSpeech) -> None:
    recordings = [loaded(write_speech, words) for words in (2, 4)]
    async with FakeServer((Fault(status=503),)) as server:
        result = await run_streams(target(server), recordings, 1, 0.0, complete=True)
        assert len(server.requests) == 1
    assert result.errors == {"overloaded": 1}


@pytest.mark.asyncio
async def test_a_refusal_at_the_end_is_counted(write_speech: WriteSpeech) -> None:
    recordings = [loaded(write_speech, words) for words in (2, 4)]
    async with FakeServer((Fault(), Fault(status=503))) as server:
        result = await run_streams(target(server), recordings, 1, 0.0, complete=True)
    assert result.errors == {"overloaded": 1}


@pytest.mark.asyncio
async def test_as_fast_as_the_server_takes_it(write_speech: WriteSpeech) -> None:
    recording = loaded(write_speech, 2_000)  # 100 s
    async with asyncio.timeout(60), FakeServer() as server:
        result = await run_streams(target(server, Pacing.fast), [recording], 1, 0.0)
        assert server.session.samples == 1_600_000
    assert result.errors == {}
    assert result.speed > 2


@pytest.mark.asyncio
async def test_what_goes_wrong_is_counted(write_speech: WriteSpeech) -> None:
    faults = (
        Fault(status=503),
        Fault(error_at=0, error=ErrorCode.INTERNAL),
        Fault(status=500),
        Fault(abort_at=1_600),
        Fault(before_ready=("{}",)),
    )
    async with FakeServer(faults) as server:
        result = await run(server, [loaded(write_speech, 6)], streams=6)
    assert result.sessions == 1
    assert result.errors == {
        "overloaded": 1,
        "internal": 1,
        "ConnectionFailedError": 1,
        "ConnectionLostError": 1,
        "ServerProtocolError": 1,
    }


@pytest.mark.asyncio
async def test_a_server_that_is_not_there(write_speech: WriteSpeech) -> None:
    async with FakeServer() as server:
        gone = target(server)
    result = await run_streams(gone, [loaded(write_speech, 2)], 1, 0.0)
    assert result.errors == {"ConnectionFailedError": 1}
    assert (result.chunk, result.real_time_factor, result.distribution) == (None, None, ())


@pytest.mark.asyncio
async def test_a_session_that_does_not_end(write_speech: WriteSpeech, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("client.bench.run.LINGER_S", 0.2)
    async with FakeServer((Fault(instead_of_done=()),)) as server:
        result = await run_streams(target(server), [loaded(write_speech, 2)], 1, 0.0)
    assert result.errors == {"unfinished": 1}


@pytest.mark.asyncio
async def test_the_token(write_speech: WriteSpeech) -> None:
    async with FakeServer() as server:
        server.token = "secret"
        assert (await run(server, [loaded(write_speech, 2)])).errors == {}
        server.token = "another"
        wrong = Target(f"{server.url}/v1/stream", "secret")
        assert (await run_streams(wrong, [loaded(write_speech, 2)], 1, 0.0)).errors == {"unauthorized": 1}


def test_word_error_rate_without_jiwer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    assert word_error_rate([("one", "one")]) is None


def test_word_error_rate() -> None:
    assert word_error_rate([]) is None
    assert word_error_rate([("one two", "one"), ("three four", "three for")]) == 0.5


def test_each_recording_counts_once() -> None:
    assert word_error_rate([("one two", "one two"), *[("three four", "three for")] * 9]) == 0.25
    assert word_error_rate([("one two", "one two"), ("one two", "one"), ("three four", "three four")]) == 0.125
