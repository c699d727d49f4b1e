"""Why a peer is refused: the codes, their close codes, and the error that reading a frame raises."""

from enum import StrEnum


class ErrorCode(StrEnum):
    """Why the server refuses something; `close_code` is what it closes the websocket with, if it does."""

    INVALID_MESSAGE = "invalid_message"
    """A text frame that is not a message of this protocol."""
    MESSAGE_TOO_BIG = "message_too_big"
    """A frame over the size limit."""
    UNEXPECTED_MESSAGE = "unexpected_message"
    """A valid message at the wrong time: audio before `start`, a second `start`."""
    INVALID_AUDIO = "invalid_audio"
    """Binary frames that are not what `start` announced, or damaged."""
    UNSUPPORTED = "unsupported"
    """Valid, but this server or its model does not do it: the message says what it does."""
    UNAUTHORIZED = "unauthorized"
    """No bearer token, or not one of the server's."""
    FORBIDDEN_ORIGIN = "forbidden_origin"
    """A browser page from an origin that the server does not admit."""
    UNKNOWN_SESSION = "unknown_session"
    """Nothing to resume: wrong session, wrong token, or too late."""
    SUPERSEDED = "superseded"
    """The session was resumed on another connection."""
    IDLE_TIMEOUT = "idle_timeout"
    """Neither audio nor a message for longer than the server waits."""
    SESSION_TOO_LONG = "session_too_long"
    """The session reached the server's limit on its duration."""
    TOO_SLOW = "too_slow"
    """The client does not read its events: the bounded queue of them is full."""
    TOO_FAST = "too_fast"
    """Audio comes faster than it is recognised and the bounded queue of it is full."""
    LIMIT_EXCEEDED = "limit_exceeded"
    """This token already has as many streams as it may have."""
    OVERLOADED = "overloaded"
    """The server is full: try again later, or on another server."""
    SHUTTING_DOWN = "shutting_down"
    """The server is being stopped and takes no new sessions."""
    INTERNAL = "internal"
    """A fault of the server; the details are in its log, never on the wire."""

    @property
    def close_code(self) -> int:
        """The websocket close code: of RFC 6455 section 7.4.1 where one fits, else private (4000 to 4999)."""
        return _CLOSE_CODES[self]


_CLOSE_CODES = {
    ErrorCode.INVALID_MESSAGE: 1007,
    ErrorCode.MESSAGE_TOO_BIG: 1009,
    ErrorCode.UNEXPECTED_MESSAGE: 1002,
    ErrorCode.INVALID_AUDIO: 4415,
    ErrorCode.UNSUPPORTED: 1003,
    ErrorCode.UNAUTHORIZED: 4401,
    ErrorCode.FORBIDDEN_ORIGIN: 4403,
    ErrorCode.UNKNOWN_SESSION: 4404,
    ErrorCode.SUPERSEDED: 4409,
    ErrorCode.IDLE_TIMEOUT: 4408,
    ErrorCode.SESSION_TOO_LONG: 4413,
    ErrorCode.TOO_SLOW: 4420,
    ErrorCode.TOO_FAST: 4421,
    ErrorCode.LIMIT_EXCEEDED: 4429,
    ErrorCode.OVERLOADED: 1013,
    ErrorCode.SHUTTING_DOWN: 1012,
    ErrorCode.INTERNAL: 1011,
}


class WireError(ValueError):
    """The peer sent something that is not a message of this protocol.

    Attributes:
        code: what to answer with, `INVALID_MESSAGE` or `MESSAGE_TOO_BIG`.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        """Keep `code` beside an explanation that names what was expected and is fit to send to the peer."""
        super().__init__(message)
        self.code = code
