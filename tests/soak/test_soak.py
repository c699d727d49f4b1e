"""The soak tests and the service's benchmark do what they say, on a server without a model."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.bench.service import Plan, bench_service, table
from tests.soak.__main__ import parse, soak
from tests.soak.playing import distribution
from tests.soak.service import Service

FAKE = "tests.soak.fake_service"


def run(output: Path, *arguments: str) -> tuple[bool, dict[str, Any]]:
    options = parse([*arguments, "--recordings", "2", "--program", FAKE, "--output", str(output)])
    good = asyncio.run(soak(options))
    return good, {path.stem: json.loads(path.read_text()) for path in output.iterdir()}


def test_killed_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, results = run(tmp_path, "kills", "--runs", "1")
    assert good
    result = results["kills"]
    assert (result["runs"], result["transcripts"], result["different"]) == (1, 4, 0)
    assert result["recovery"]["count"] == 4
    assert result["whole_again"]["max_s"] > 0
    assert capsys.readouterr().out == f"kills: {json.dumps(result)}\n"


def test_cut_connections(tmp_path: Path) -> None:
    good, results = run(tmp_path, "drops", "--runs", "2")
    assert good
    assert results["drops"]["different"] == 0
    assert results["drops"]["transcripts"] == 2


def test_memory(tmp_path: Path) -> None:
    good, results = run(tmp_path, "sessions", "day", "--sessions", "20", "--hours", "0.01")
    assert good
    assert results["sessions"]["sessions"] == 20
    for result in results.values():
        assert set(result["memory_mib"]) == {"start", "tenth", "end"}
        assert min(result["memory_mib"]["end"].values()) > 1
        assert not result["leaks"] and not result["restarted"]


def test_a_worker_that_was_replaced_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it had leaked is gone with it."""
    pids = iter([[7], [8]])
    monkeypatch.setattr(Service, "workers", property(lambda service: next(pids)))
    monkeypatch.setattr(Service, "memory_mib", lambda service: {"server": 9.0, "workers": 9.0})
    good, results = run(tmp_path, "sessions", "--sessions", "20")
    assert results["sessions"]["restarted"] and not results["sessions"]["leaks"]
    assert not good


def test_a_lost_word_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def wrong(*_: object) -> dict[str, Any]:
        return {"different": 1}

    monkeypatch.setattr("tests.soak.__main__.drops", wrong)
    assert not run(tmp_path, "drops")[0]


def test_an_unknown_part() -> None:
    with pytest.raises(SystemExit):
        parse(["kill"])


def test_a_server_that_does_not_start() -> None:
    async def start() -> None:
        async with Service(["--workers", "-1"], FAKE):
            raise AssertionError("expected no server")

    with pytest.raises(RuntimeError, match=r"(?s)expected a server that listens.*workers"):
        asyncio.run(start())


def test_the_benchmark(tmp_path: Path) -> None:
    speech = tmp_path / "speech.wav"
    soundfile.write(speech, np.zeros(24_000), 16_000)
    plan = Plan(chunks_ms=(320,), ladder=(1, 2), seconds=2.0, budget_s=90.0, target_ms=20_000.0)
    found = asyncio.run(bench_service(plan, tmp_path, [speech], FAKE, programs=0))
    assert {chunk_ms: values["largest"] for chunk_ms, values in found.items()} == {320: 2}
    assert sorted(path.name for path in tmp_path.glob("service*")) == [
        "service-320.png",
        "service.json",
    ]
    first = json.loads((tmp_path / "service.json").read_text())["chunks_ms"]["320"]["measured"][0]
    assert first["result"]["streams"] == 1
    assert first["result"]["errors"] == {}
    assert first["worker_cores"] >= 0
    assert table(found, plan).row_count == 2


def test_distribution() -> None:
    assert distribution([]) == {"count": 0}
    assert distribution([1.0, 3.0]) == {"count": 2, "p50_s": 2.0, "p95_s": 2.9, "max_s": 3.0}
