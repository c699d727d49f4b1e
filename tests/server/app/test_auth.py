import hashlib
import re
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from server.app.auth import (
    Token,
    chosen_subprotocol,
    identify,
    is_local,
    origin_admitted,
    presented_token,
    read_tokens,
)
from server.session import Identity
from server.wire import Ready, Start

SECRET = "correct horse battery staple"


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@pytest.fixture
def tokens_file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# name, SHA-256\n\nalice {digest(SECRET)}  # since May\nbob\t{digest('bobs').upper()}\n")
    return path


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the guide's commands use openssl")
def test_the_guide_makes_a_token_that_is_admitted(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")
    commands = re.findall(r"^```sh\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    assert len(commands) == 1
    made = subprocess.run(["sh", "-euc", commands[0]], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert identify(made.stdout.strip(), read_tokens(tmp_path / "tokens.txt")) == Identity(name="alice")


def test_tokens_are_read(tokens_file: Path) -> None:
    alice, bob = read_tokens(tokens_file)
    assert alice == Token("alice", hashlib.sha256(SECRET.encode()).digest())
    assert bob == Token("bob", hashlib.sha256(b"bobs").digest())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice\n", "tokens:1: expected a name and the 64 hexadecimal digits"),
        (f"alice {'f' * 63}\n", "tokens:1: expected a name"),
        (f"ok {'0' * 64}\nalice {SECRET}\n", "tokens:2: expected a name"),
        (f"a/b {'f' * 64}\n", "tokens:1: expected a name"),
        (f"a {'0' * 64}\na {'1' * 64}\n", "expected every name once, got one twice"),
        (f"a {'0' * 64}\nb {'0' * 64}\n", "expected every digest once, got one twice"),
        ("# nobody\n", "expected at least one token, got none"),
    ],
)
def test_other_files_are_refused_without_quoting_them(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "tokens"
    path.write_text(text)
    with pytest.raises(ValueError, match=expected) as refusal:
        read_tokens(path)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("presented", "name"),
    [(SECRET, "alice"), ("bobs", "bob"), ("carols", None), ("", None), (None, None), ("\ud800", None)],
)
def test_identify(tokens_file: Path, presented: str | None, name: str | None) -> None:
    expected = None if name is None else Identity(name=name)
    assert identify(presented, read_tokens(tokens_file)) == expected


@pytest.mark.parametrize(
    ("authorization", "subprotocols", "token"),
    [
        ("Bearer abc", [], "abc"),
        ("bearer  abc ", ["bearer.xyz"], "abc"),
        ("Basic abc", ["earshot.v1", "bearer.xyz"], "xyz"),
        ("Bearer", ["bearer.xyz"], "xyz"),
        (None, ["earshot.v1"], None),
        (None, [], None),
    ],
)
def test_presented_token(authorization: str | None, subprotocols: list[str], token: str | None) -> None:
    assert presented_token(authorization, subprotocols) == token


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (["bearer.x", "earshot.v1"], "earshot.v1"),
        (["bearer.x"], "bearer.x"),
        (["chat"], None),
        ([], None),
    ],
)
def test_chosen_subprotocol(offered: list[str], chosen: str | None) -> None:
    assert chosen_subprotocol(offered) == chosen


@pytest.mark.parametrize(
    ("origin", "host", "admitted", "local", "expected"),
    [
        (None, "x", (), False, True),
        ("https://a.org", "a.org", (), False, True),
        ("https://A.org", "a.ORG", (), False, True),
        ("https://a.org:8443", "a.org:8443", (), False, True),
        ("https://a.org", "a.org:8443", (), False, False),
        ("https://b.org", "a.org", (), False, False),
        ("null", "a.org", (), False, False),
        ("null", None, (), False, False),
        ("http://[", "[", (), False, False),
        ("https://evil.org:8080", "evil.org:8080", (), True, False),  # a name that was made to point to us
        ("http://localhost:8080", "localhost:8080", (), True, True),
        ("http://127.0.0.1:8080", "127.0.0.1:8080", (), True, True),
        ("http://[::1]:8080", "[::1]:8080", (), True, True),
        ("https://b.org", "a.org", ("https://b.org",), True, True),
        ("https://a.org", "a.org", ("https://b.org",), False, False),
        ("http://b.org", "a.org", ("https://b.org",), False, False),
        ("https://anything", "a.org", ("*",), True, True),
    ],
)
def test_origin_admitted(
    origin: str | None, host: str | None, admitted: tuple[str, ...], local: bool, expected: bool
) -> None:
    assert origin_admitted(origin, host, admitted, local) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.2", True), ("::1", False), ("[::1]", True), ("0.0.0.0", False), ("a.org:1", False)],
)
def test_is_local(host: str, expected: bool) -> None:
    assert is_local(host) is expected


@pytest.mark.asyncio
async def test_only_known_tokens_come_in(start_server: Any, tokens_file: Path) -> None:
    run = await start_server(auth_tokens_file=tokens_file)
    for options in (
        {"additional_headers": {"Authorization": f"Bearer {SECRET}"}},
        {"subprotocols": ["earshot.v1", "bearer.bobs"]},
    ):
        async with run.connect(**options) as client:
            assert isinstance(await client.start(), Ready)
            assert client.websocket.subprotocol in (None, "earshot.v1")
    for options in (
        {},
        {"additional_headers": {"Authorization": "Bearer wrong"}},
        {"additional_headers": {"Authorization": f"Basic {SECRET}"}},
        {"subprotocols": ["bearer.wrong"]},
    ):
        async with run.connect(**options) as client:
            assert await client.refused() == ("unauthorized", 4401)
    assert await run.metric('earshot_refusals_total{code="unauthorized"}') == 4
    assert (await run.get("/healthz")).status_code == 200


@pytest.mark.asyncio
async def test_a_token_has_only_so_many_streams(start_server: Any, tokens_file: Path) -> None:
    run = await start_server(auth_tokens_file=tokens_file, streams_per_token=1)
    alice, bob = ({"additional_headers": {"Authorization": f"Bearer {token}"}} for token in (SECRET, "bobs"))
    async with run.connect(**alice) as first, run.connect(**alice) as second, run.connect(**bob) as other:
        await first.start()
        await other.start()
        await second.send(Start(sample_rate=16_000))
        assert await second.refused() == ("limit_exceeded", 4429)
        await first.stop()
        async with run.connect(**alice) as third:
            await third.start()


@pytest.mark.asyncio
async def test_a_session_is_resumed_only_by_who_opened_it(start_server: Any, tokens_file: Path) -> None:
    run = await start_server(auth_tokens_file=tokens_file)
    alice, bob = ({"additional_headers": {"Authorization": f"Bearer {token}"}} for token in (SECRET, "bobs"))
    async with run.connect(**alice) as owner, run.connect(**bob) as thief:
        ready = await owner.start()
        with pytest.raises(Exception, match="received 4404"):
            await thief.resume(ready)
        await owner.stop()


@pytest.mark.asyncio
async def test_pages_of_other_origins_are_refused(start_server: Any) -> None:
    run = await start_server()
    async with run.connect(origin="https://evil.example") as client:
        assert await client.refused() == ("forbidden_origin", 4403)
    async with run.connect(origin=f"http://127.0.0.1:{run.port}") as client:
        await client.start()


@pytest.mark.asyncio
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_local_server_admits_no_page_of_a_name_that_was_made_to_point_to_it(
    start_server: Any, host: str
) -> None:
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"this machine has no {host}")
    run = await start_server(host=host)
    local = f"[{host}]" if ":" in host else host
    for name, admitted in ((local, True), ("evil.example", False)):
        there = socket.create_connection((host, run.port))
        async with run.connect(name=name, sock=there, origin=f"http://{name}:{run.port}") as client:
            if admitted:
                assert isinstance(await client.start(), Ready)
            else:
                assert await client.refused() == ("forbidden_origin", 4403)


@pytest.mark.asyncio
async def test_origins_can_be_listed(start_server: Any) -> None:
    run = await start_server(origins=("https://app.example",))
    async with run.connect(origin="https://app.example") as client:
        await client.start()
    async with run.connect(origin=f"http://127.0.0.1:{run.port}") as client:
        assert await client.refused() == ("forbidden_origin", 4403)
