import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.bench.command import BenchOptions, bench_command, parse_streams
from client.bench.stream import Target
from tests.client.fake_server import FakeServer, Fault

WriteSpeech = Callable[..., Path]


@pytest.mark.parametrize(("text", "numbers"), [("1", [1]), ("1,8, 32", [1, 8, 32])])
def test_numbers_of_streams(text: str, numbers: list[int]) -> None:
    assert parse_streams(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "1,,2", "two", "-1", "1.5"])
def test_no_numbers_of_streams(text: str) -> None:
    with pytest.raises(ValueError, match="expected numbers from 1, such as 1,8,32"):
        parse_streams(text)


@pytest.mark.asyncio
async def test_the_command(write_speech: WriteSpeech, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, output, picture = write_speech("a.wav", 3), tmp_path / "out.json", tmp_path / "out.png"
    async with FakeServer() as server:
        target = Target(f"{server.url}/v1/stream")
        assert not await bench_command(target, [file], BenchOptions([1, 2], 0.05, json=output, plot=picture))
        assert [r["streams"] for r in json.loads(output.read_text())["results"]] == [1, 2]
        assert picture.stat().st_size > 0
        assert "p50 / p95 / p99" in capsys.readouterr().out
        server.faults.append(Fault(status=503))
        assert await bench_command(target, [file], BenchOptions([1], 0.0, json=Path("-")))
        value = json.loads(capsys.readouterr().out)
    assert value["results"][0]["errors"] == {"overloaded": 1}
    assert value["settings"]["pace"] == "realtime"


@pytest.mark.asyncio
async def test_the_largest_number(
    write_speech: WriteSpeech, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("client.bench.search.MOST", 2)
    async with FakeServer() as server:
        options = BenchOptions([1], 1.0, target_ms=60_000.0, json=Path("-"))
        assert not await bench_command(Target(f"{server.url}/v1/stream"), [write_speech("a.wav", 3)], options)
    value = json.loads(capsys.readouterr().out)
    assert value["largest"] == {"streams": 2, "target_ms": 60_000.0}
    assert [result["streams"] for result in value["results"]] == [1, 2]


@pytest.mark.asyncio
async def test_nothing_to_play(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").touch()
    with pytest.raises(ValueError, match="got empty manifests"):
        await bench_command(Target("ws://localhost"), [tmp_path / "x.jsonl"], BenchOptions([1], 0.0))
