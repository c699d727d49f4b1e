import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server.app.serve import serve
from server.settings import Settings
from server.wire import Ready

ROOT = Path(__file__).parents[3]
FAKE_WORKER = ROOT / "tests" / "server" / "fake_worker.py"

SERVE = """
import sys
from server.app.serve import serve
from server.settings import LogFormat, Settings
command = lambda address: [sys.executable, sys.argv[1], "--connect", address, *sys.argv[2:]]
sys.exit(serve(Settings(port=0, log_format=LogFormat.json, drain_s=20), command))
"""


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate for this machine that it signed itself, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return cert, key


@pytest.mark.asyncio
async def test_tls(start_server: Any, speech: Callable[..., bytes], certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    run = await start_server(tls_cert=cert, tls_key=key)
    assert (await run.get("/readyz")).status_code == 200
    async with run.connect(ssl=ssl.create_default_context(cafile=str(cert))) as client:
        assert isinstance(await client.start(), Ready)
        await client.audio(speech(1.0))
        await client.stop()
    assert len(client.finals) == 1


@pytest.mark.asyncio
async def test_nothing_waits_for_a_request_once_a_websocket_is_open(
    start_server: Any, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over TLS a connection that is over has no protocol any more that could be asked for."""
    monkeypatch.setattr("server.app.transport.REQUEST_S", 0.2)
    cert, key = certificate
    run = await start_server(tls_cert=cert, tls_key=key)
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))
    async with run.connect(ssl=ssl.create_default_context(cafile=str(cert))) as client:
        await client.start()
        await client.stop()
    await asyncio.sleep(0.4)
    assert failures == []


@pytest.mark.asyncio
async def test_a_connection_that_asks_for_nothing_is_ended(start_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.app.transport.REQUEST_S", 0.2)
    run = await start_server()
    for beginning in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
        writer.write(beginning)
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionError):  # aborted, with a reset
                assert await reader.read() == b""
                raise ConnectionResetError
        writer.close()
    async with run.connect() as client:  # a websocket was asked for, so it may be silent for longer
        await asyncio.sleep(0.4)
        assert isinstance(await client.start(), Ready)


@pytest.mark.asyncio
async def test_a_further_request_that_is_never_whole_ends_the_connection(
    start_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.app.transport.REQUEST_S", 0.5)
    run = await start_server()
    reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    async def answer() -> bytes:
        return await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(len(body))

    body = (await run.get("/healthz")).content
    async with asyncio.timeout(20):
        for pause_s in (0.0, 0.3, 0.3):  # together longer than one request may take
            writer.write(request[:20])
            await asyncio.sleep(pause_s)
            writer.write(request[20:])
            assert (await answer()).startswith(b"HTTP/1.1 200")
        writer.write(request[:20])
        while not writer.is_closing():  # though bytes keep coming
            await asyncio.sleep(0.1)
            writer.write(b"x")


@pytest.mark.asyncio
async def test_the_server_ends_when_no_worker_starts(start_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await start_server("--exit", "7", warm=False)
    await run.over()
    assert run.server.failed == "worker 0 exited with status 7"


def test_a_port_that_is_taken_ends_the_process(
    fake_worker: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.app.serve.set_up_logging", lambda format: None)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as ended:
        serve(Settings(port=taken.getsockname()[1]), fake_worker())
    assert ended.value.code != 0


@pytest.mark.parametrize(
    ("worker_options", "status"),
    [([], 0), (["--exit", "7"], 1)],
)
def test_the_process_from_start_to_end(worker_options: list[str], status: int) -> None:
    command = [sys.executable, "-c", SERVE, str(FAKE_WORKER), *worker_options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    lines = []
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for text in process.stderr:
            lines.append(json.loads(text))
            if "serves fake" in lines[-1]["message"]:
                process.send_signal(signal.SIGTERM)
    assert process.returncode == status
    messages = [line["message"] for line in lines]
    assert "listening" in messages
    if status == 0:
        (listening,) = [line for line in lines if line["message"] == "listening"]
        assert listening["url"].startswith("http://127.0.0.1:")
        assert messages[-1] == "drained"
    else:
        assert "no worker starts: worker 0 exited with status 7" in messages
