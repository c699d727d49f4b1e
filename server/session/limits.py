"""What a session may take."""

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """Bounds of one session; past each the client is refused with a reason.

    Attributes:
        idle_s: Seconds without audio or message, also before the first message; past it `idle_timeout`.
        session_s: Seconds from `start` on; past it `session_too_long`.
        resume_s: Seconds that a session waits for its client to resume it.
        worker_s: Seconds that a session waits for a new worker; past it `overloaded`.
        backlog_s: Seconds of audio waiting for recognition; past it `too_fast`.
        held_s: Seconds of recognised audio that may still be needed for a replay; past it `internal`: recognition
            needs 190 s at most.
        events: Messages not yet written to the connection; past it `too_slow`. Also how many finals, and how many
            unanswered flushes, are kept.
        deaths: Workers that a session may lose in a row without one sample being recognised in between; past it
            `internal`, for it may be its audio that ends them, and with them the work for everybody else.
        errors: Refused messages in an open session; past it the connection is closed.
        frame_bytes: Longest binary frame.

    Raises:
        ValueError: for a bound that is not a positive number.
    """

    idle_s: float = 60.0
    session_s: float = 4 * 3600.0
    resume_s: float = 120.0
    worker_s: float = 120.0
    backlog_s: float = 60.0
    held_s: float = 240.0
    events: int = 1000
    deaths: int = 10
    errors: int = 10
    frame_bytes: int = 1024 * 1024

    def __post_init__(self) -> None:
        """Checks every bound."""
        for field in fields(self):
            value = getattr(self, field.name)
            whole = field.type is int
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
                raise ValueError(f"{field.name}: expected a number{' of things' if whole else ''}, got {value!r}")
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field.name}: expected a positive number, got {value!r}")
