"""A connection that wants a session which another connection had."""

from collections.abc import Mapping

from server.session.actions import Action
from server.session.session import Session
from server.wire import Resume, WireError


def rejoin(
    asking: Session, sessions: Mapping[str, Session], message: Resume, now: float
) -> tuple[Session, list[Action]]:
    """Finds the session that a `Rejoin` names and lets it go on with the asking connection.

    Args:
        asking: The connection's own session, whose `Rejoin` this executes. If another one is returned, it is over:
            forget it.
        sessions: All sessions that are not forgotten, by their `id`.
        message: Of the `Rejoin`.
        now: Seconds.

    Returns:
        The session that the connection belongs to from now on, and the actions to execute for it.
    """
    try:
        found = sessions.get(message.session)
        if found is None or found is asking:
            raise Session.unknown()
        actions = found.resumed(message, asking.identity, now)
    except WireError as error:
        return asking, asking.refuse(error.code, str(error))
    asking.disconnected(now)  # the connection is the other one's
    return found, actions
