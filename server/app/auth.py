"""Who may come in: bearer tokens and, for browsers, origins."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from server.session import Identity

SUBPROTOCOL = "earshot.v1"
"""Websocket subprotocol that a browser offers beside `bearer.<token>`, so that the server need not echo the token."""
SUBPROTOCOL_PREFIX = "bearer."
ANYBODY = Identity(name="anybody")
"""Everybody's identity where no tokens are asked for."""

_LINE = re.compile(r"(?P<name>[\w.@-]{1,64})\s+(?P<digest>[0-9a-fA-F]{64})")


@dataclass(frozen=True)
class Token:
    """A token that is admitted.

    Attributes:
        name: Its bearer, for logs and limits.
        digest: SHA-256 of the token. A slow password hash would add nothing: tokens are random, not chosen.
    """

    name: str
    digest: bytes


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read a file of admitted tokens: a name and the token's SHA-256 in hex on each line; `#` begins a comment.

    Raises:
        ValueError: another kind of line, a name or token that comes twice, or no token at all.
        OSError: the file cannot be read.
    """
    tokens: list[Token] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        match = _LINE.fullmatch(line)
        if match is None:  # not quoted: it may be a token
            raise ValueError(f"{path}:{number}: expected a name and the 64 hexadecimal digits of a token's SHA-256")
        tokens.append(Token(match["name"], bytes.fromhex(match["digest"])))
    for what in ("name", "digest"):
        values = [getattr(token, what) for token in tokens]
        if len(set(values)) < len(values):
            raise ValueError(f"{path}: expected every {what} once, got one twice")
    if not tokens:
        raise ValueError(f"{path}: expected at least one token, got none, which would admit nobody")
    return tuple(tokens)


def identify(presented: str | None, admitted: Sequence[Token]) -> Identity | None:
    """Whose token was presented, or None; as slow for a wrong token as for any right one.

    Args:
        presented: What the client sent.
        admitted: The tokens that are known.
    """
    digest = hashlib.sha256((presented or "").encode("utf-8", "surrogatepass")).digest()
    found = None
    for token in admitted:
        if hmac.compare_digest(digest, token.digest):
            found = token.name
    return None if found is None or not presented else Identity(name=found)


def presented_token(authorization: str | None, subprotocols: Iterable[str]) -> str | None:
    """The token of an `Authorization: Bearer` header (RFC 6750 section 2.1), else of a subprotocol, else None."""
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    for subprotocol in subprotocols:
        if subprotocol.startswith(SUBPROTOCOL_PREFIX):
            return subprotocol.removeprefix(SUBPROTOCOL_PREFIX)
    return None


def chosen_subprotocol(offered: Sequence[str]) -> str | None:
    """The subprotocol to answer with: browsers give up when they offer some and none is chosen (RFC 6455 4.1)."""
    if SUBPROTOCOL in offered:
        return SUBPROTOCOL
    return next((name for name in offered if name.startswith(SUBPROTOCOL_PREFIX)), None)


def origin_admitted(origin: str | None, host: str | None, admitted: Sequence[str], local: bool) -> bool:
    """Whether a connection from a page of this origin is admitted.

    Args:
        origin: The `Origin` header; None if this is no browser.
        host: The `Host` header.
        admitted: Origins, or "*" for all; when empty, the page must come from this server.
        local: Whether the server listens on the loopback interface only. A page of a name that its owner lets
            point there (DNS rebinding) looks as if it came from this server, so the name must then be local, too.
    """
    if origin is None or "*" in admitted:
        return True
    if admitted:
        return origin.lower() in admitted
    try:
        authority = urlsplit(origin).netloc.lower()
    except ValueError:  # half an IPv6 address
        return False
    return bool(authority) and authority == (host or "").lower() and (not local or is_local(authority))


def is_local(authority: str) -> bool:
    """Whether a host, with or without a port, is this machine's loopback interface."""
    name = urlsplit(f"//{authority}").hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
