"""Making a websocket connection, and saying why it could not be made."""

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from client.errors import ConnectionFailedError, EarshotError, refusal_of_status
from server.wire import MAX_SERVER_BYTES

SUBPROTOCOL = Subprotocol("earshot.v1")

Dial = Callable[[], Awaitable[ClientConnection]]
"""Makes a connection, or raises an `EarshotError`."""


def dialer(url: str, token: str | None, tls: ssl.SSLContext | None, timeout_s: float, ping_s: float) -> Dial:
    """What makes connections to a server.

    Args:
        url: Of the websocket.
        token: Bearer token, sent in the header only.
        tls: For `wss`; None: the system's certificates.
        timeout_s: For making a connection, in seconds.
        ping_s: Time between pings, and for their answer, in seconds: finds connections that are dead at one end.
    """
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    options: dict[str, Any] = {"ssl": tls} if tls is not None and url.startswith("wss:") else {}

    async def dial() -> ClientConnection:
        try:
            return await websocket_connect(
                url,
                subprotocols=[SUBPROTOCOL],
                additional_headers=headers,
                open_timeout=timeout_s,
                ping_interval=ping_s,
                ping_timeout=ping_s,
                close_timeout=timeout_s,
                max_size=MAX_SERVER_BYTES,
                compression=None,  # events are short, and audio does not compress
                **options,
            )
        except (OSError, TimeoutError, InvalidHandshake, EOFError) as error:
            raise _explained(url, error) from error

    return dial


def _explained(url: str, error: Exception) -> EarshotError:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        return refusal_of_status(status) or ConnectionFailedError(
            f"{url}: expected a websocket, got HTTP status {status}: check the address"
        )
    if isinstance(error, TimeoutError):
        return ConnectionFailedError(f"{url}: no answer in time: check the address, and whether the server runs")
    if isinstance(error, ssl.SSLError):
        return ConnectionFailedError(f"{url}: no secure connection: {error.reason or error}")
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ConnectionFailedError(f"{url}: {said}: check the address, and whether the server runs")
