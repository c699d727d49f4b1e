"""A connection on a server that tells no more than ASGI does, and may do so late or never."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.websockets import WebSocket

from server.app.connection import Connection
from server.app.transport import Link
from server.wire import Ack

pytestmark = pytest.mark.asyncio


class Asgi:
    """The server's side of ASGI, in the test's hands."""

    def __init__(self) -> None:
        self.incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.outgoing: list[dict[str, Any]] = []
        self.writable = asyncio.Event()
        self.writable.set()
        self.error: Exception | None = None

    async def send(self, message: Any) -> None:
        await self.writable.wait()
        if self.error is not None:
            raise self.error
        self.outgoing.append(message)

    async def connection(self, on_sent: Callable[[], None] = lambda: None) -> Connection:
        """An accepted websocket."""
        self.incoming.put_nowait({"type": "websocket.connect"})
        websocket = WebSocket({"type": "websocket", "headers": []}, self.incoming.get, self.send)
        await websocket.accept()
        self.outgoing.clear()
        return Connection(websocket, on_sent)


@pytest.fixture
def asgi() -> Asgi:
    return Asgi()


async def read(connection: Connection) -> None:
    async for _ in connection.frames():
        pass


async def within(waiting: Any) -> Any:
    """Wait, but not for ever."""
    async with asyncio.timeout(20):
        return await waiting


async def test_messages_go_out_in_order_and_are_counted(asgi: Asgi) -> None:
    sent: list[int] = []
    connection = await asgi.connection(lambda: sent.append(len(asgi.outgoing)))
    connection.send(Ack(samples=1))
    connection.send(Ack(samples=2))
    connection.close(1000, "done")
    connection.send(Ack(samples=3))  # too late
    connection.close(1011, "again")
    asgi.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})
    assert await within(connection.run(read)) == 1000
    assert [message.get("text") or message["code"] for message in asgi.outgoing] == [
        '{"type":"ack","samples":1}',
        '{"type":"ack","samples":2}',
        1000,
    ]
    assert sent == [1, 2]


async def test_frames_come_in_until_the_peer_closes(asgi: Asgi) -> None:
    connection = await asgi.connection()
    frames: list[str | bytes] = []

    async def keep(connection: Connection) -> None:
        async for frame in connection.frames():
            frames.append(frame)

    for number in range(40):
        asgi.incoming.put_nowait({"type": "websocket.receive", "text": str(number)})
    asgi.incoming.put_nowait({"type": "websocket.receive", "bytes": b"x"})
    asgi.incoming.put_nowait({"type": "websocket.disconnect", "code": 1001})
    assert await within(connection.run(keep)) == 1001
    assert frames == [*map(str, range(40)), b"x"]


async def test_frames_after_our_close_are_nobodys(asgi: Asgi) -> None:
    connection = await asgi.connection()
    connection.close(1000, "")
    asgi.incoming.put_nowait({"type": "websocket.receive", "text": "late"})
    asgi.incoming.put_nowait({"type": "websocket.disconnect"})

    async def fail(connection: Connection) -> None:
        async for frame in connection.frames():
            pytest.fail(f"got {frame!r}")

    assert await within(connection.run(fail)) == 1006


@pytest.mark.parametrize("discard", [True, False])
async def test_a_peer_that_does_not_answer_is_given_up(
    asgi: Asgi, monkeypatch: pytest.MonkeyPatch, discard: bool
) -> None:
    monkeypatch.setattr("server.app.connection.CLOSE_S", 20.0 if discard else 0.05)
    monkeypatch.setattr("server.app.connection.ABORT_S", 0.05 if discard else 20.0)
    connection = await asgi.connection()
    asgi.writable.clear()
    connection.send(Ack(samples=1))
    connection.close(1000, "", discard)
    assert await within(connection.run(read)) == 1006
    assert asgi.outgoing == []


async def test_what_is_discarded_is_not_sent(asgi: Asgi) -> None:
    connection = await asgi.connection()
    connection.send(Ack(samples=1))
    connection.close(4409, "elsewhere", discard=True)
    asgi.incoming.put_nowait({"type": "websocket.disconnect", "code": 4409})
    assert await within(connection.run(read)) == 4409
    assert [message["type"] for message in asgi.outgoing] in ([], ["websocket.close"])


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("closed already")])
async def test_a_connection_that_is_lost_while_writing(asgi: Asgi, error: Exception) -> None:
    connection = await asgi.connection()
    asgi.error = error
    connection.send(Ack(samples=1))
    running = asyncio.create_task(connection.run(read))
    asgi.incoming.put_nowait({"type": "websocket.disconnect", "code": 1006})
    assert await within(running) == 1006


async def test_a_reader_that_fails_ends_the_connection(asgi: Asgi, caplog: pytest.LogCaptureFixture) -> None:
    connection = await asgi.connection()

    async def fail(connection: Connection) -> None:
        raise KeyError("bug")

    running = asyncio.create_task(connection.run(fail))
    while not asgi.outgoing:
        await asyncio.sleep(0)
    assert asgi.outgoing[0]["code"] == 1011
    connection._link.abort()
    assert await within(running) == 1006
    assert "a connection failed" in caplog.text


async def test_a_link_ends_once() -> None:
    link = Link(abort=lambda: None)
    link.over(1000)  # the server tells by itself, and later
    assert not link.ended.done()
    link.end(4409)
    link.end(1000)
    assert await link.ended == 4409
