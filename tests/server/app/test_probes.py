import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.wire import ErrorCode

pytestmark = pytest.mark.asyncio


async def test_ready_only_when_every_worker_is(start_server: Any) -> None:
    run = await start_server("--first", "nothing", warm=False)
    answer = await run.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "loading"})
    answer = await run.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"


async def test_ready_and_then_recovering(start_server: Any) -> None:
    run = await start_server(workers=2)
    answer = await run.get("/readyz")
    assert answer.status_code == 200
    about = {"model": "fake", "chunks_ms": [320, 640], "device": "cpu", "engine": "xla", "beam": 1}
    assert answer.json() == {"status": "ready", **about}
    worker = run.pool.workers[1]
    worker.command = lambda address: ["/does/not/exist"]
    os.kill(worker.pid, signal.SIGKILL)
    while (await run.get("/readyz")).status_code == 200:
        pass
    assert (await run.get("/readyz")).json() == {"status": "recovering"}


async def test_metrics_tell_what_happened(start_server: Any, speech: Callable[..., bytes]) -> None:
    run = await start_server(max_streams=5, workers=1)
    await run.transcribe(speech(3.0))
    async with run.connect() as client:
        await client.start()
        text = (await run.get("/metrics")).text
        values = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
    expected = {
        "sessions_total": 2,
        "resumes_total": 0,
        "replays_total": 0,
        "streams": 1,
        "streams_limit": 5,
        "connections": 1,
        "draining": 0,
        "workers": 1,
        "workers_ready": 1,
        "worker_restarts_total": 0,
        "audio_seconds_total": 3.0,
        "chunks_total": 10,
        "partials_total": 7,
        "finals_total": 3,
        "chunk_queue_seconds_count": 10,
        "chunk_compute_seconds_count": 10,
        "batch_size_count": 10,
        "real_time_factor_count": 10,
        "session_duration_seconds_count": 1,
    }
    assert {name: values[(f"earshot_{name}",)] for name in expected} == pytest.approx(expected)
    assert values[("earshot_chunk_queue_seconds_sum",)] == pytest.approx(10 * 0.0015)
    assert values[("earshot_chunk_compute_seconds_sum",)] == pytest.approx(10 * 0.0025)
    assert values[("earshot_real_time_factor_sum",)] == pytest.approx(10 * 2.5 / 320)
    assert values[("earshot_batch_size_bucket", "1.0")] == 10
    assert {values[("earshot_refusals_total", code.value)] for code in ErrorCode} == {0}
    assert ("process_resident_memory_bytes",) in values


async def test_metrics_in_the_format_that_is_asked_for(start_server: Any) -> None:
    run = await start_server()
    plain = await run.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain")
    modern = await run.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert modern.headers["content-type"].startswith("application/openmetrics-text")
    assert modern.text.endswith("# EOF\n")


async def test_the_guide_names_every_metric(start_server: Any) -> None:
    run = await start_server()
    families = text_string_to_metric_families((await run.get("/metrics")).text)
    shown = {family.name for family in families if family.name.startswith("earshot_")}
    guide = (Path(__file__).parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(earshot_[a-z_]+)`", guide))
    assert named == {name for name in shown if not name.endswith("_created")}
