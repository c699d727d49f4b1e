"""What a session asks of the application, which executes the actions in order."""

import msgspec

from server.wire import Resume, ServerMessage
from server.worker import messages as worker


class _Action(msgspec.Struct, frozen=True):
    """What all actions share: immutable."""


class Send(_Action, frozen=True):
    """Write a message to the session's connection; once written, call `Session.sent`."""

    message: ServerMessage


class Close(_Action, frozen=True):
    """Close the session's connection after what was sent before it; its end is reported as any other's."""

    code: int
    """Websocket close code."""
    reason: str
    """At most 123 bytes of UTF-8."""
    abort: bool = False
    """Whether not to wait for what is not written yet: the peer does not read."""


class ToWorker(_Action, frozen=True):
    """Hand a message to the worker that the session's stream is pinned to; `Open` pins it.

    Where that fails because no worker has a place free, call `Session.refuse` with `OVERLOADED` and execute what it
    returns instead of the remaining actions.
    """

    message: worker.ToWorker


class FinishAudio(_Action, frozen=True):
    """No more audio will come: take the rest out of the decoder and hand it to `Session.audio_finished`."""


class Rejoin(_Action, frozen=True):
    """The connection wants another session: call `rejoin` and go on with the session that it returns."""

    message: Resume


class Takeover(_Action, frozen=True):
    """The session goes on with the connection that asked for it.

    Discard what the session's connection before it, if one is left, still holds in either direction; close that one
    with this code and never report its end. Call `AudioDecoder.realign` of the session's decoder.
    """

    code: int
    """Websocket close code for the connection before."""
    reason: str
    """At most 123 bytes of UTF-8."""


class Forget(_Action, frozen=True):
    """The session is over: remove it and never use its stream's number again."""


Action = Send | Close | ToWorker | FinishAudio | Rejoin | Takeover | Forget
