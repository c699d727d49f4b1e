import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from client.cli import app, main
from server.wire import Start
from tests.client.fake_portaudio import FakePortAudio
from tests.client.fake_server import FakeServer, Fault

ROOT = Path(__file__).parents[2]
WriteSpeech = Callable[..., Path]


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """A server in a thread of its own: the commands run event loops of theirs."""
    found: list[FakeServer] = []
    begun = threading.Event()
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        async with FakeServer() as running:
            found.append(running)
            begun.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert begun.wait(20)
    yield found[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(20)
    loop.close()


def invoke(*arguments: object, **environment: str) -> Result:
    return CliRunner(env={"EARSHOT_TOKEN": None, "EARSHOT_URL": None, **environment}).invoke(
        app, [*map(str, arguments)]
    )


def test_transcribe(server: FakeServer, write_speech: WriteSpeech) -> None:
    result = invoke("transcribe", write_speech("a.wav", 2), "--url", server.url, "--phrase", "Ada", "--chunk-ms", 160)
    assert (result.exit_code, result.stdout) == (0, "w1 w2\n")
    (start,) = server.greetings
    assert isinstance(start, Start)
    assert (start.words, start.phrases, start.chunk_ms) == (False, ("Ada",), 160)


def test_transcribe_into_files(server: FakeServer, write_speech: WriteSpeech, tmp_path: Path) -> None:
    file = write_speech("a.wav", 2)
    result = invoke("transcribe", file, "--format", "srt", "--output", tmp_path / "out", EARSHOT_URL=server.url)
    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "out" / "a.wav.srt").read_text().startswith("1\n00:00:00,000 --> ")


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("text", "w1 w2\n"),
        ("srt", "1\n00:00:00,000 --> 00:00:00,400\nw1 w2\n"),
        ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:00.400\nw1 w2\n"),
    ],
)
def test_transcribe_to_standard_output(
    server: FakeServer, write_speech: WriteSpeech, format: str, expected: str
) -> None:
    result = invoke("transcribe", write_speech("a.wav", 2), "--format", format, "--url", server.url)
    assert (result.exit_code, result.stdout) == (0, expected)


def test_transcribe_to_json(server: FakeServer, write_speech: WriteSpeech) -> None:
    result = invoke("transcribe", write_speech("a.wav", 6), "--format", "json", "--url", server.url)
    value = json.loads(result.stdout)
    assert (value["text"], value["duration_ms"]) == ("w1 w2 w3 w4 w5 w6", 300)
    assert [segment["text"] for segment in value["segments"]] == ["w1 w2 w3 w4", "w5 w6"]
    first = {"word": "w1", "start_ms": 0, "end_ms": 50, "confidence": 0.5}
    assert value["segments"][0]["words"][0] == first


def test_a_bad_file_is_exit_code_1(server: FakeServer, write_speech: WriteSpeech, tmp_path: Path) -> None:
    result = invoke("transcribe", tmp_path / "missing.wav", write_speech("a.wav", 2), "--url", server.url)
    assert result.exit_code == 1
    assert result.stdout.endswith("a.wav: w1 w2\n")
    assert "missing.wav" in result.stderr


def test_the_token_comes_from_the_environment(server: FakeServer, write_speech: WriteSpeech) -> None:
    server.token = "secret"
    file = write_speech("a.wav", 2)
    assert invoke("transcribe", file, "--url", server.url, EARSHOT_TOKEN="secret").exit_code == 0
    result = invoke("transcribe", file, "--url", server.url)
    assert result.exit_code == 1
    assert "give a valid token" in " ".join(result.stderr.split())


def test_bench(server: FakeServer, write_speech: WriteSpeech) -> None:
    file = write_speech("a.wav", 2)
    common = ("bench", "--audio", file, "--url", server.url, "--duration", 0)
    result = invoke(*common, "--streams", "1,2", "--pace", "fast", "--json", "-")
    assert result.exit_code == 0
    assert '"streams": 2' in result.stdout
    server.faults.append(Fault(status=503))
    assert invoke(*common).exit_code == 1
    assert invoke(*common, "--pace", "slow").exit_code == 2


def test_list_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio())
    result = invoke("listen", "--list-devices")
    assert result.stdout == "*   1  Headset (1 channels)\n    2  Array (4 channels)\n"


def run_main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["asr-client", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_users_mistakes_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run_main(monkeypatch, "bench", "--audio", str(tmp_path / "no.wav"), "--streams", "x") == 2
    assert capsys.readouterr().err == "error: streams: expected numbers from 1, such as 1,8,32, got 'x'\n"
    assert run_main(monkeypatch, "bench", "--audio", str(tmp_path / "no.wav")) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}/no.wav: expected an audio file")
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert run_main(monkeypatch, "listen") == 2
    assert capsys.readouterr().err == "error: sounddevice is not installed: pip install sounddevice\n"


def test_a_result_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    server: FakeServer,
    write_speech: WriteSpeech,
) -> None:
    output = str(tmp_path / "missing" / "out.json")
    file = str(write_speech("a.wav", 1))
    assert (
        run_main(monkeypatch, "bench", "--audio", file, "--url", server.url, "--duration", "0", "--json", output) == 2
    )
    assert capsys.readouterr().err.endswith(f"error: {output}: No such file or directory\n")


def test_an_interrupted_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("client.listen_command.print_devices", interrupted)
    assert run_main(monkeypatch, "listen", "--list-devices") == 130


def test_importing_the_client_takes_no_time() -> None:
    """At most 0.3 s of CPU, which a busy machine does not lengthen; the best of three."""
    code = "import time; begin = time.process_time(); import client; print(time.process_time() - begin)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def took_s() -> float:
        command = [sys.executable, "-c", code]
        return float(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    assert min(took_s() for _ in range(3)) <= 0.3


def test_importing_the_client_loads_nothing_heavy() -> None:
    code = "import client, sys; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    heavy = {"numpy", "websockets", "soundfile", "sounddevice", "soxr", "rich", "typer", "tensorflow", "asr"}
    assert heavy.isdisjoint(result.stdout.split())
