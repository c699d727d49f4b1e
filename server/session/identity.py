"""Who a session belongs to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """Who opened a session, as the bearer token told.

    Attributes:
        name: Of the token, never the token itself; the same for everybody where no tokens are asked for. A session
            is resumed only under the name that opened it.
    """

    name: str
