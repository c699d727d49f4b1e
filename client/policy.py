"""What a refusal means for a session."""

from server.wire import ErrorCode

OUR_FAULT = frozenset({ErrorCode.INVALID_MESSAGE, ErrorCode.MESSAGE_TOO_BIG, ErrorCode.UNEXPECTED_MESSAGE})
"""The server does not understand us: going on is no use. After every other refusal it closes the connection, and may
send finals before."""
SUSPENDED = frozenset({ErrorCode.TOO_FAST, ErrorCode.TOO_SLOW})
"""The connection is closed but the session kept, to be resumed."""
TRANSIENT = frozenset({ErrorCode.OVERLOADED, ErrorCode.LIMIT_EXCEEDED, ErrorCode.SHUTTING_DOWN})
"""May have passed when a client that resumes tries again."""
