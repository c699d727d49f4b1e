"""How fast the load's audio is sent."""

from enum import StrEnum


class Pacing(StrEnum):
    """How fast audio is sent."""

    realtime = "realtime"
    """As it is spoken."""
    fast = "fast"
    """As the server takes it."""
