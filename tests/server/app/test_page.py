from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.asyncio


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page of two files."""
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "index.html").write_text("<title>hello</title>")
    (tmp_path / "page" / "code.js").write_text("let x")
    (tmp_path / "secret").write_text("secret")
    monkeypatch.setattr("server.app.page.FOLDER", tmp_path / "page")
    return tmp_path / "page"


async def test_the_page_and_its_files(start_server: Any, page: Path) -> None:
    run = await start_server()
    answer = await run.get("/")
    assert (answer.status_code, answer.text) == (200, "<title>hello</title>")
    assert answer.headers["content-type"].startswith("text/html")
    assert (await run.get("/code.js")).headers["content-type"].startswith("text/javascript")


@pytest.mark.parametrize("path", ["/nothing", "/../secret", "/%2e%2e/secret", "/..%2fsecret", "/code.js/x"])
async def test_there_is_nothing_else(start_server: Any, page: Path, path: str) -> None:
    run = await start_server()
    answer = await run.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text


async def test_a_new_version_of_the_page_shows_at_once(start_server: Any, page: Path) -> None:
    """Browsers ask each time; what has not changed is not sent again."""
    run = await start_server()
    answer = await run.get("/code.js")
    assert answer.headers["cache-control"] == "no-cache"
    again = {"If-None-Match": answer.headers["etag"]}
    assert (await run.get("/code.js", headers=again)).status_code == 304
    (page / "code.js").write_text("changed;")
    assert (await run.get("/code.js", headers=again)).text == "changed;"


@pytest.mark.parametrize("path", ["/", "/nothing", "/healthz", "/metrics"])
async def test_browsers_are_told_to_trust_nothing_else(start_server: Any, page: Path, path: str) -> None:
    run = await start_server()
    headers = (await run.get(path)).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["permissions-policy"] == "microphone=(self)"
    assert "server" not in headers


@pytest.mark.parametrize("path", ["/code.js", "/v1/streams", "/healthz"])
async def test_a_websocket_elsewhere_is_not_found(start_server: Any, page: Path, path: str) -> None:
    run = await start_server()
    with pytest.raises(InvalidStatus) as refused:
        async with run.connect(path):
            pass
    assert refused.value.response.status_code == 404
    assert refused.value.response.body == b"no websocket here: expected /v1/stream"


async def test_the_websockets_address_is_no_page(start_server: Any, page: Path) -> None:
    answer = await (await start_server()).get("/v1/stream")
    assert (answer.status_code, answer.headers["upgrade"]) == (426, "websocket")
    assert "earshot.v1" in answer.text
