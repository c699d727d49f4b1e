"""What can go wrong, and what to do about it.

EarshotError
├── ConnectionFailedError    the server could not be reached at all
├── ConnectionLostError      it went away and did not come back in time
├── ServerProtocolError      it broke the protocol, or lost audio or words
├── AudioFileError           a file that cannot be read
├── MicrophoneError          no microphone, no PortAudio, or audio that came too fast
└── RefusedError             the server said no, with a code; a class for each code
└── ResumeWindowError, OverloadedError, UnauthorizedError, …
SessionClosedError           a session used after its end: a fault of the caller, so a RuntimeError
"""

from typing import ClassVar

from server.wire.errors import ErrorCode


class EarshotError(Exception):
    """Base of everything that the world, not the caller, does wrong; its text is fit to be shown to a user."""


class ConnectionFailedError(EarshotError):
    """The server could not be reached: check its address, and whether it runs."""


class ConnectionLostError(EarshotError):
    """The connection was lost and could not be made again in the time allowed."""


class ServerProtocolError(EarshotError):
    """The server sent what the protocol does not allow, or lost audio or words."""


class AudioFileError(EarshotError):
    """An audio file that cannot be read: names it, what was expected and what came."""


class MicrophoneError(EarshotError):
    """The microphone cannot be used."""


class SessionClosedError(RuntimeError):
    """The session has ended or was told to stop: open another one."""


class RefusedError(EarshotError):
    """The server refused something.

    Args:
        message: What the server said.
        code: Which refusal, for programs; default: the class's own.

    Attributes:
        code: As above.
        message: As above.
        advice: What to do, for people.
    """

    default_code: ClassVar[ErrorCode | None] = None
    advice: ClassVar[str] = ""

    def __init__(self, message: str, code: ErrorCode | None = None) -> None:
        """Joins what the server said and what to do."""
        chosen = code or self.default_code
        if chosen is None:
            raise TypeError(f"{type(self).__name__} expected a code, got none")
        self.code, self.message = chosen, message
        said = message or "refused without a reason"
        super().__init__(f"{said} ({chosen.value}): {self.advice}" if self.advice else f"{said} ({chosen.value})")


class ClientFaultError(RefusedError):
    """The server did not understand this client: `invalid_message`, `message_too_big` or `unexpected_message`."""

    advice = "client and server are probably of different versions; update the older one"


class UnsupportedError(RefusedError):
    """This server or its model does not do what was asked for."""

    default_code = ErrorCode.UNSUPPORTED
    advice = "ask for less, or use another server"


class InvalidAudioError(RefusedError):
    """The audio is not what was announced, or damaged; what came before is final."""

    default_code = ErrorCode.INVALID_AUDIO
    advice = "check the file, or encoding and sample rate"


class UnauthorizedError(RefusedError):
    """No token, or not one of the server's."""

    default_code = ErrorCode.UNAUTHORIZED
    advice = "give a valid token (--token, EARSHOT_TOKEN, or connect(token=…))"


class ForbiddenOriginError(RefusedError):
    """The server or a proxy before it does not admit this client."""

    default_code = ErrorCode.FORBIDDEN_ORIGIN
    advice = "ask the server's operator for access"


class ResumeWindowError(RefusedError):
    """The session was gone when the client came back: the time for resuming was over, or the server restarted."""

    default_code = ErrorCode.UNKNOWN_SESSION
    advice = "start a new session and send again what is not yet final"


class SupersededError(RefusedError):
    """The session was resumed from elsewhere."""

    default_code = ErrorCode.SUPERSEDED
    advice = "use a session from one client only"


class IdleTimeoutError(RefusedError):
    """The server heard nothing for longer than it waits."""

    default_code = ErrorCode.IDLE_TIMEOUT
    advice = "send silence while nobody speaks, or stop and start a session when it is needed"


class SessionTooLongError(RefusedError):
    """The session reached the server's limit; what came before is final."""

    default_code = ErrorCode.SESSION_TOO_LONG
    advice = "start a new session for the rest"


class TooSlowError(RefusedError):
    """The events were not read fast enough."""

    default_code = ErrorCode.TOO_SLOW
    advice = "read events while sending"


class TooFastError(RefusedError):
    """Audio came faster than it is recognised."""

    default_code = ErrorCode.TOO_FAST
    advice = "send no faster than real time, or to a server with more capacity"


class LimitExceededError(RefusedError):
    """The token already has as many streams as it may have."""

    default_code = ErrorCode.LIMIT_EXCEEDED
    advice = "wait until another of your streams ends"


class OverloadedError(RefusedError):
    """The server is full."""

    default_code = ErrorCode.OVERLOADED
    advice = "try again later, or on another server"


class ShuttingDownError(RefusedError):
    """The server is being stopped; what came before is final."""

    default_code = ErrorCode.SHUTTING_DOWN
    advice = "start a new session later, or on another server"


class InternalError(RefusedError):
    """A fault of the server."""

    default_code = ErrorCode.INTERNAL
    advice = "start a new session; if it happens again, report it with the server's log"


_CLIENT_FAULTS = (ErrorCode.INVALID_MESSAGE, ErrorCode.MESSAGE_TOO_BIG, ErrorCode.UNEXPECTED_MESSAGE)
_CLASSES: dict[ErrorCode, type[RefusedError]] = {
    **{kind.default_code: kind for kind in RefusedError.__subclasses__() if kind.default_code is not None},
    **dict.fromkeys(_CLIENT_FAULTS, ClientFaultError),
}
_CLOSES = {code.close_code: code for code in ErrorCode if code.close_code >= 4000 or code is ErrorCode.OVERLOADED}
_STATUSES = {
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN_ORIGIN,
    429: ErrorCode.LIMIT_EXCEEDED,
    503: ErrorCode.OVERLOADED,
}


def refusal(code: ErrorCode, message: str) -> RefusedError:
    """The error for a code, of the code's own class."""
    return _CLASSES[code](message, code)


def refusal_of_close(close_code: int | None, reason: str) -> RefusedError | None:
    """The error that a close code alone tells of; None for the codes that anything on the way may send."""
    code = _CLOSES.get(close_code or 0)
    return refusal(code, reason) if code else None


def refusal_of_status(status: int) -> RefusedError | None:
    """The error that the HTTP status of a refused websocket handshake tells of; None if it tells nothing."""
    code = _STATUSES.get(status)
    return refusal(code, f"HTTP {status}") if code else None
