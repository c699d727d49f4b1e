"""The session's states, what can happen in them, and where that leads: the one table of both."""

from enum import Enum, auto
from types import MappingProxyType
from typing import Final


class State(Enum):
    """Where a session stands: how far its audio is, and whether a client is connected."""

    OPENING = auto()
    """Connected; neither `start` nor `resume` came yet."""
    OPEN = auto()
    """Connected; audio may come."""
    STOPPING = auto()
    """Connected; no more audio, the worker finishes."""
    FINISHED = auto()
    """`done` was sent; waiting for the connection's end, which tells whether it arrived."""
    DETACHED = auto()
    """As `OPEN`, without a connection."""
    STOPPING_DETACHED = auto()
    """As `STOPPING`, without a connection."""
    FINISHED_DETACHED = auto()
    """Everything is final, but the client may not know yet."""
    DONE = auto()
    """Over."""


class Event(Enum):
    """What can happen to a session."""

    START = auto()
    """The client opens it."""
    REJOIN = auto()
    """The client wants another session instead."""
    AUDIO = auto()
    """Audio came."""
    FLUSH = auto()
    """The client wants everything so far to be final."""
    STOP = auto()
    """The client has no more audio."""
    END = auto()
    """The server ends it: what came is still made final."""
    FINISH = auto()
    """The worker has recognised everything."""
    SUSPEND = auto()
    """The server closes the connection; the client may resume."""
    DISCONNECT = auto()
    """The connection was lost."""
    LEAVE = auto()
    """The client closed the connection in order."""
    RESUME = auto()
    """The client is back, on another connection."""
    LAPSE = auto()
    """The client did not come back in time."""
    FAIL = auto()
    """The server gives it up."""


CONNECTED: Final = (State.OPENING, State.OPEN, State.STOPPING, State.FINISHED)
"""States with a connection."""
ACTIVE: Final = (State.OPEN, State.STOPPING, State.DETACHED, State.STOPPING_DETACHED)
"""States in which a worker works for the session."""
CLIENT_EVENTS: Final = MappingProxyType(
    {
        Event.START: "start",
        Event.REJOIN: "resume",
        Event.AUDIO: "audio",
        Event.FLUSH: "flush",
        Event.STOP: "stop",
    }
)
"""What a client can do, and what the protocol calls it."""
_DETACHED = {
    State.OPEN: State.DETACHED,
    State.STOPPING: State.STOPPING_DETACHED,
    State.FINISHED: State.FINISHED_DETACHED,
}

TRANSITIONS: Final = MappingProxyType(
    {
        (State.OPENING, Event.START): State.OPEN,
        (State.OPENING, Event.REJOIN): State.OPENING,  # until the other session is found
        (State.OPENING, Event.DISCONNECT): State.DONE,
        (State.OPEN, Event.AUDIO): State.OPEN,
        (State.DETACHED, Event.AUDIO): State.DETACHED,  # was being decoded when the connection broke
        (State.OPEN, Event.FLUSH): State.OPEN,
        (State.OPEN, Event.STOP): State.STOPPING,
        # A client that resumes cannot know that these arrived, and says them again.
        (State.STOPPING, Event.FLUSH): State.STOPPING,
        (State.STOPPING, Event.STOP): State.STOPPING,
        (State.FINISHED, Event.FLUSH): State.FINISHED,
        (State.FINISHED, Event.STOP): State.FINISHED,
        (State.OPEN, Event.END): State.STOPPING,
        (State.DETACHED, Event.END): State.STOPPING_DETACHED,
        (State.STOPPING, Event.END): State.STOPPING,  # the last of the audio cannot be decoded
        (State.STOPPING_DETACHED, Event.END): State.STOPPING_DETACHED,
        (State.STOPPING, Event.FINISH): State.FINISHED,
        (State.STOPPING_DETACHED, Event.FINISH): State.FINISHED_DETACHED,
        **{(state, Event.LEAVE): State.DONE for state in CONNECTED},
        **{(state, Event.SUSPEND): detached for state, detached in _DETACHED.items()},
        **{(state, Event.DISCONNECT): detached for state, detached in _DETACHED.items()},
        **{(state, Event.RESUME): state for state in _DETACHED},  # the server may not know yet that it is alone
        **{(detached, Event.RESUME): state for state, detached in _DETACHED.items()},
        **{(detached, Event.LAPSE): State.DONE for detached in _DETACHED.values()},
        (State.FINISHED, Event.LAPSE): State.DONE,
        **{(state, Event.FAIL): State.DONE for state in State if state is not State.DONE},
    }
)
"""(state, event) → the state after it; what is not here does not happen: a client's message is then refused."""
