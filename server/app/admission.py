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
    if session.start.phrases and _phrase_lists(seats) > pool.phrase_lists:
        text = f"expected at most {pool.phrase_lists} different lists of phrases at a time, all are in use"
        return ErrorCode.OVERLOADED, f"{text}: try again later, or elsewhere"
    try:
        seat.decoder = make_decoder(session.start.encoding, session.start.sample_rate)
        pool.open(session.stream)
    except AudioError as error:
        return ErrorCode.INVALID_AUDIO, str(error)
    except PoolFull:
        return full
    return None


def _phrase_lists(seats: Collection[Seat]) -> int:
    """Different lists that sessions follow, as workers count them: each must have room for all, if others are lost."""
    starts = [seat.session.start for seat in seats if seat.session.active]
    return len({tuple(dict.fromkeys(start.phrases)) for start in starts if start is not None and start.phrases})
