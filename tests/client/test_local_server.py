"""A server of one's own: it runs while its block does, and why it does not is said."""

import urllib.request
from pathlib import Path

import pytest

from client.local_server import LocalServer, LocalServerError

ROOT = Path(__file__).parents[2]
FAKE = "tests.soak.fake_service"  # the server, with workers that need no model


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the fake worker, which is no installed module


def answers(url: str) -> bool:
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.asyncio
async def test_it_runs_while_the_block_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_PORT", "not a port")  # meant for another server
    async with LocalServer(program=FAKE) as server:
        assert server.url.startswith("http://127.0.0.1:") and answers(server.url)
    assert not answers(server.url)


@pytest.mark.asyncio
async def test_the_log_of_a_server_that_ends_is_shown() -> None:
    with pytest.raises(LocalServerError, match=r"the server ended with 2: its log ends with\n(.|\n)*no-such-flag"):
        async with LocalServer(["--no-such-flag"]):
            pytest.fail("it runs")


@pytest.mark.asyncio
async def test_a_server_that_writes_nothing_is_said_to() -> None:
    with pytest.raises(LocalServerError, match="the server ended with 0: it wrote nothing"):
        async with LocalServer(program="this"):  # prints to standard output and ends
            pytest.fail("it runs")


@pytest.mark.asyncio
async def test_the_log_goes_on_after_an_empty_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spaced.py").write_text('import sys\nsys.exit("\\nthe reason\\n" + "\\n" * 200_000 + "the end")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(LocalServerError, match="the server ended with 1: its log ends with\nthe reason\nthe end"):
        async with LocalServer(program="spaced", start_s=20.0):
            pytest.fail("it runs")


@pytest.mark.asyncio
async def test_one_that_is_never_ready_is_stopped() -> None:
    server = LocalServer(["--workers", "0"], program="http.server", start_s=1.0)
    server._command = [*server._command[:3], "0"]
    with pytest.raises(LocalServerError, match="the server was not ready within 1 s"):
        async with server:
            pytest.fail("it is ready")
    assert server._process is not None and server._process.returncode is not None
