"""Where a server is, as people write it."""

from urllib.parse import urlsplit, urlunsplit

STREAM_PATH = "/v1/stream"
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


def stream_url(text: str) -> str:
    """The websocket's address.

    Args:
        text: `ws://`, `wss://`, `http://` or `https://` and a host, or a host alone; a path only if it is not the
            usual one.

    Raises:
        ValueError: if that is no address.
    """
    parts = urlsplit(text if "://" in text else f"ws://{text}")
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError(f"expected an address such as ws://localhost:8080, got {text!r}")
    if parts.username or parts.password:
        raise ValueError("expected an address without a user: give the token by itself")
    path = parts.path if parts.path.strip("/") else STREAM_PATH
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))
