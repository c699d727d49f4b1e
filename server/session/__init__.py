"""A session as a sans-I/O state machine: what arrives goes in, what to do about it comes out.

The application gives a `Session` everything that happens to it (frames, decoded audio, a worker's messages, lost
connections and workers, the time) and executes the `Action`s that it returns, in order. It does no I/O, keeps no
threads, and reads no clock: `now` is an argument, in seconds of any clock that never goes back.
"""

from server.session.actions import (
    Action,
    Close,
    FinishAudio,
    Forget,
    Rejoin,
    Send,
    Takeover,
    ToWorker,
)
from server.session.identity import Identity
from server.session.limits import Limits
from server.session.rejoin import rejoin
from server.session.session import Session
from server.session.states import State

__all__ = [
    "Action",
    "Close",
    "FinishAudio",
    "Forget",
    "Identity",
    "Limits",
    "Rejoin",
    "Send",
    "Session",
    "State",
    "Takeover",
    "ToWorker",
    "rejoin",
]
