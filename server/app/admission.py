"""Whether a session may start."""

from collections.abc import Collection

from server.app.seat import Seat
from server.audio import AudioError, make_decoder
from server.pool import Pool, PoolFull
from server.settings import Settings
from server.wire import ErrorCode

Refusal = tuple[ErrorCode, str]
"""Why not, for programs and for people."""


def admit(seat: Seat, seats: Collection[Seat], settings: Settings, pool: Pool) -> Refusal | None:
    """Take a slot of a worker for a session, and make its decoder.

    Args:
        seat: Of the session, which has just started.
        seats: All there are, this one included.
        settings: Of the server.
        pool: Of the workers.

    Returns:
        None, or why the session cannot start; then nothing was taken.
    """
    session = seat.session
    assert session.start is not None
    active = [other.session.identity for other in seats if other.session.active]
    if settings.streams_per_token and active.count(session.identity) > settings.streams_per_token:
        text = f"expected at most {settings.streams_per_token} streams at a time with one token: end one first"
        return ErrorCode.LIMIT_EXCEEDED, text
    full = ErrorCode.OVERLOADED, "every stream of this server is taken: try again in a moment, or elsewhere"
    if len(active) > settings.max_streams:
        return full
    try:
        seat.decoder = make_decoder(session.start.encoding, session.start.sample_rate)
        pool.open(session.stream)
    except AudioError as error:
        return ErrorCode.INVALID_AUDIO, str(error)
    except PoolFull:
        return full
    return None
