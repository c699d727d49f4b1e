import asyncio
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from client.bench import Loaded, Result, load, run_streams, word_error_rate
from client.bench_command import bench_command, parse_streams
from client.bench_report import as_json, table
from client.latency import Summary
from client.references import Recording
from server.wire import ErrorCode
from tests.client.fake_server import FakeServer, Fault

WriteSpeech = Callable[..., Path]


def loaded(write_speech: WriteSpeech, words: int, reference: str | None = None) -> Loaded:
    return load(Recording(write_speech(f"{words}.wav", words), reference))


class FastClock:
    """Time that passes only while somebody sleeps, so that real time takes none."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


async def run(server: FakeServer, recordings: list[Loaded], streams: int = 1, seconds: float = 0.0) -> Result:
    clock = FastClock()
    async with asyncio.timeout(30):
        return await run_streams(server.url, recordings, streams, seconds, {}, clock.sleep, clock)


@pytest.mark.asyncio
async def test_one_stream(write_speech: WriteSpeech) -> None:
    async with FakeServer() as server:
        result = await run(server, [loaded(write_speech, 6, "w1 w2 w3 w4 w5 w9")])
    assert (result.streams, result.sessions, result.audio_s, result.errors) == (1, 1, 0.3, {})
    assert result.wer == pytest.approx(1 / 6)
    assert result.partial is not None
    assert result.partial.count == 6
    assert result.queue == Summary(6, 1.0, 1.0, 1.0, 1.0)
    assert result.compute == Summary(6, 2.0, 2.0, 2.0, 2.0)
    assert result.final is not None
    assert result.final.count == 2
    assert result.first_word is not None
    assert result.stop is not None


@pytest.mark.asyncio
async def test_streams_play_in_turn_until_the_time_is_over(write_speech: WriteSpeech) -> None:
    recordings = [loaded(write_speech, words) for words in (4, 8, 2)]
    async with FakeServer() as server:
        result = await run(server, recordings, streams=2, seconds=2.0)
        first = [session.samples for session in server.sessions.values()]
    assert result.sessions == len(first) > 4
    assert result.wer is None
    assert set(first) == {3_200, 6_400, 1_600}


@pytest.mark.asyncio
async def test_real_time(write_speech: WriteSpeech) -> None:
    recording = loaded(write_speech, 6)
    async with FakeServer() as server:
        began = asyncio.get_running_loop().time()
        result = await run_streams(server.url, [recording], 1, 0.0, {})
        assert asyncio.get_running_loop().time() - began >= 0.3
    assert result.partial is not None
    assert 0 < result.partial.p50 < 10_000


@pytest.mark.asyncio
async def test_a_stream_that_is_refused_is_counted(write_speech: WriteSpeech) -> None:
    faults = (Fault(status=503), Fault(error_at=0, error=ErrorCode.INTERNAL), Fault(status=500))
    async with FakeServer(faults) as server:
        result = await run(server, [loaded(write_speech, 6)], streams=4)
    assert result.sessions == 1
    assert result.errors == {"overloaded": 1, "internal": 1, "ConnectionFailedError": 1}


def test_word_error_rate_without_jiwer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jiwer", None)
    assert word_error_rate([("one", "one")]) is None


def test_word_error_rate() -> None:
    assert word_error_rate([]) is None
    assert word_error_rate([("one two", "one"), ("three four", "three for")]) == 0.5


@pytest.mark.parametrize(("text", "numbers"), [("1", [1]), ("1,8, 32", [1, 8, 32])])
def test_numbers_of_streams(text: str, numbers: list[int]) -> None:
    assert parse_streams(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "1,,2", "two", "-1", "1.5"])
def test_no_numbers_of_streams(text: str) -> None:
    with pytest.raises(ValueError, match="expected numbers from 1, such as 1,8,32"):
        parse_streams(text)


RESULT = Result(
    streams=8,
    sessions=16,
    audio_s=120.0,
    errors={"overloaded": 2},
    wer=0.123,
    partial=Summary(9, 50.4, 95.0, 99.6, 200.0),
    first_word=None,
    final=None,
    stop=None,
    queue=None,
    compute=None,
    network=None,
)


def test_the_table() -> None:
    console = Console(file=io.StringIO(), width=200)
    console.print(table([RESULT]))
    assert isinstance(console.file, io.StringIO)
    rows = [line.strip("│").split("│") for line in console.file.getvalue().splitlines() if "│" in line]
    assert {name.strip(): value.strip() for name, value in rows} == {
        "played, s": "120",
        "partial": "50 / 95 / 100",
        **dict.fromkeys(["first word", "final", "stop", "queue", "compute", "network"], "–"),
        "WER": "12.3 %",
        "errors": "2 × overloaded",
    }


def test_json() -> None:
    value = json.loads(as_json([RESULT], {"seconds": 30}))
    assert value["settings"] == {"seconds": 30}
    (result,) = value["results"]
    assert result["partial"] == {"count": 9, "p50": 50.4, "p95": 95.0, "p99": 99.6, "max": 200.0}
    assert result["final"] is None
    assert result["errors"] == {"overloaded": 2}


@pytest.mark.asyncio
async def test_the_command(write_speech: WriteSpeech, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, output = write_speech("a.wav", 3), tmp_path / "out.json"
    async with FakeServer() as server:
        assert not await bench_command(server.url, [file], [1, 2], 0.0, {}, output)
        assert [r["streams"] for r in json.loads(output.read_text())["results"]] == [1, 2]
        assert "p50 / p95 / p99" in capsys.readouterr().out
        server.faults.append(Fault(status=503))
        assert await bench_command(server.url, [file], [1], 0.0, {}, Path("-"))
        assert json.loads(capsys.readouterr().out)["results"][0]["errors"] == {"overloaded": 1}


@pytest.mark.asyncio
async def test_nothing_to_play(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").touch()
    with pytest.raises(ValueError, match="got empty manifests"):
        await bench_command("localhost", [tmp_path / "x.jsonl"], [1], 0.0, {}, None)
