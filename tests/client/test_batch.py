import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from client.backoff import Backoff
from client.batch import BatchOptions, transcribe_files
from client.formats import Format
from tests.client.fake_server import FakeServer, Fault, said

WriteSpeech = Callable[..., Path]


class Batch:
    """Runs a batch and keeps what it printed."""

    def __init__(self, server: FakeServer, **options: Any) -> None:
        self.console = Console(file=io.StringIO(), width=1_000)
        defaults = {
            "url": server.url,
            "format": Format.text,
            "output": None,
            "streams": 2,
            "session": {},
            "patience": Backoff(first_s=0.001, longest_s=0.002, give_up_s=10),
        }
        self.options = BatchOptions(**{**defaults, **options})

    async def run(self, *files: Path) -> list[Path]:
        return await transcribe_files(files, self.options, self.console)

    @property
    def errors(self) -> list[str]:
        assert isinstance(self.console.file, io.StringIO)
        return [line for line in self.console.file.getvalue().splitlines() if line.startswith("error")]


@pytest.mark.asyncio
async def test_results_come_in_the_order_of_the_files(
    write_speech: WriteSpeech, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [write_speech(f"{n}.wav", n, first=10 * n) for n in (7, 1, 5, 3)]
    async with FakeServer() as server:
        assert await Batch(server).run(*files, files[0]) == []
        assert len(server.sessions) == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{files[0]}: {said(4, 70)}",
        said(3, 74),
        f"{files[1]}: w10",
        f"{files[2]}: {said(4, 50)}",
        "w54",
        f"{files[3]}: {said(3, 30)}",
    ]


@pytest.mark.asyncio
async def test_one_bad_file_does_not_stop_the_others(
    write_speech: WriteSpeech, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, missing = write_speech("good.wav", 2), tmp_path / "missing.wav"
    async with FakeServer() as server:
        batch = Batch(server)
        assert await batch.run(missing, good) == [missing]
    assert batch.errors == [f"error: {missing}: expected an audio file, got: No such file or directory"]
    assert capsys.readouterr().out == f"{good}: w1 w2\n"


@pytest.mark.asyncio
async def test_a_file_that_the_server_refuses(write_speech: WriteSpeech) -> None:
    bad = write_speech("bad.wav", 2)
    async with FakeServer((Fault(status=401),)) as server:
        batch = Batch(server)
        assert await batch.run(bad) == [bad]
    (error,) = batch.errors
    assert error.startswith(f"error: {bad}: HTTP 401 (unauthorized): give a valid token")


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", Format)
async def test_results_in_files(write_speech: WriteSpeech, tmp_path: Path, kind: Format) -> None:
    file, folder = write_speech("a.wav", 2), tmp_path / "new" / "results"
    async with FakeServer() as server:
        assert await Batch(server, output=folder, format=kind).run(file) == []
    (result,) = folder.iterdir()
    assert result.name == f"a.wav.{kind.extension}"
    text = result.read_text()
    expected = {"text": "w1 w2\n", "vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:00.400\nw1 w2\n"}
    if kind is Format.json:
        assert json.loads(text)["text"] == "w1 w2"
    else:
        assert text == expected.get(kind, "1\n00:00:00,000 --> 00:00:00,400\nw1 w2\n")


@pytest.mark.asyncio
async def test_results_that_would_meet(write_speech: WriteSpeech, tmp_path: Path) -> None:
    files = [write_speech(f"{folder}/a.wav", 1) for folder in "xy"]
    async with FakeServer() as server:
        with pytest.raises(ValueError, match=r"would both be written to .*a\.wav\.txt"):
            await Batch(server, output=tmp_path).run(*files)
        assert server.greetings == []


@pytest.mark.asyncio
async def test_an_output_that_is_no_folder(write_speech: WriteSpeech, tmp_path: Path) -> None:
    file, output = write_speech("a.wav", 1), tmp_path / "taken"
    output.touch()
    async with FakeServer() as server:
        batch = Batch(server, output=output)
        assert await batch.run(file) == [file]
    assert len(batch.errors) == 1
    assert str(output) in batch.errors[0]


@pytest.mark.asyncio
async def test_a_full_server_is_asked_again(write_speech: WriteSpeech, capsys: pytest.CaptureFixture[str]) -> None:
    async with FakeServer((Fault(status=503), Fault(status=429))) as server:
        assert await Batch(server).run(write_speech("a.wav", 2)) == []
        assert len(server.requests) == 3
    assert capsys.readouterr().out == "w1 w2\n"


@pytest.mark.asyncio
async def test_a_server_that_stays_full(write_speech: WriteSpeech) -> None:
    file = write_speech("a.wav", 2)
    async with FakeServer((Fault(status=503),) * 9) as server:
        batch = Batch(server, patience=Backoff(first_s=0.001, longest_s=0.002, give_up_s=0))
        assert await batch.run(file) == [file]
        assert len(server.requests) == 1
    assert "overloaded" in batch.errors[0]
