"""The demo against a server with a fake worker: what was heard stands above what was said."""

import asyncio
import importlib.util
import io
from pathlib import Path

import pytest
from rich.console import Console

from client import demo as demo_module
from client.demo import Sample, demo, read_samples
from client.errors import AudioFileError, EarshotError
from client.local_server import LocalServer

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the fake worker, which is no installed module


def test_the_bundled_recordings_are_there() -> None:
    samples = read_samples()
    assert len(samples) >= 5 and all(s.audio.exists() and s.text and s.seconds > 1 for s in samples)
    assert read_samples(limit=2) == samples[:2]


def test_without_recordings_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(EarshotError, match=r"manifest\.jsonl: No such file.*expected the bundled recordings"):
        read_samples(tmp_path / "manifest.jsonl")


def test_recordings_go_through_a_server_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    def local_server(options: list[str]) -> LocalServer:
        started.append(options)
        return LocalServer(options, program="tests.soak.fake_service")

    monkeypatch.setattr(demo_module, "LocalServer", local_server)
    console = Console(file=io.StringIO(), width=2000)
    samples = read_samples(limit=2)
    asyncio.run(demo(None, samples, 320, real_time=False, console=console))
    assert started == [["--chunk-ms", "320", "--max-streams", "4", "--batch", "1"]]
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown.index("Ready after") < shown.index(samples[0].audio.name) < shown.index(samples[1].audio.name)
    lines = shown.splitlines()
    for sample in samples:
        said = lines.index(f"said:  {sample.text}")
        assert lines[said - 1].startswith("heard: ") and len(lines[said - 1]) > len("heard: ")
        assert "ms of compute for 320 ms of audio" in lines[said + 1]


def test_without_the_servers_packages_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    with pytest.raises(EarshotError, match=r"for which uvicorn is not installed; give --url, or .*earshot\[server\]"):
        asyncio.run(demo(None, [], 640, real_time=False, console=Console(file=io.StringIO())))


def test_a_damaged_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"no audio")
    sample = Sample(tmp_path / "a.mp3", 1.0, "ann", "a")
    with pytest.raises(AudioFileError, match=r"a\.mp3: expected a recording"):
        asyncio.run(demo("ws://127.0.0.1:1", [sample], 640, real_time=False, console=Console(file=io.StringIO())))
