"""Secrets that prove a client's right to resume its session."""

import hmac
import secrets
from collections.abc import Callable

TOKEN_BYTES = 24  # 192 bits: not to be guessed


def new_token() -> str:
    """An unguessable text, safe in addresses."""
    return secrets.token_urlsafe(TOKEN_BYTES)


class ResumeTokens:
    """The token that resumes a session: each is spent by the connection that it opened.

    A client may lose the connection before it has read its next token. So the token that it used stays good until
    the client sends something on the connection that it opened with it, which shows that it has the next one.

    Args:
        make: Makes unguessable texts.
    """

    def __init__(self, make: Callable[[], str]) -> None:
        """Makes the first."""
        self._make = make
        self.current = make()
        self._used: str | None = None

    def admits(self, token: str) -> bool:
        """Whether the token is good; takes as long for a wrong one as for a nearly right one."""
        given = token.encode("utf-8", "surrogatepass")
        good = False
        for known in (self.current, self._used):
            good |= known is not None and hmac.compare_digest(known.encode(), given)
        return good

    def use(self, token: str) -> None:
        """Opens a connection with a good token: there is a new current one."""
        self._used, self.current = token, self._make()

    def confirm(self) -> None:
        """The client has the current token: the one that it used is spent."""
        self._used = None
