"""The states of the client's side of a session."""

from enum import Enum, auto


class State(Enum):
    """Where a session stands."""

    DISCONNECTED = auto()
    """There is no connection."""
    GREETING = auto()
    """`start` or `resume` was sent, `ready` not yet received."""
    OPEN = auto()
    """Audio may be sent."""
    DONE = auto()
    """Everything is final."""
    FAILED = auto()
    """It is over; an error was raised that says why."""
