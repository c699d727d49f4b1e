"""Events that the application has not read yet."""

from collections import deque

from server.wire import Final, Partial

Event = Partial | Final

MAX_EVENTS = 256
"""Unread events from which on only the newest partial is kept: each replaces the one before it."""
MAX_FINALS = 100_000
"""Unread finals that are kept: days of speech."""


class Inbox:
    """A queue of events that stays small when nobody reads, and never loses a final.

    Args:
        events: From so many on, a partial goes when a newer event comes.
        finals: So many finals are kept.
    """

    def __init__(self, events: int = MAX_EVENTS, finals: int = MAX_FINALS) -> None:
        """Starts empty."""
        self._max_events, self._max_finals = events, finals
        self._events: deque[Event] = deque()

    def __len__(self) -> int:
        return len(self._events)

    def put(self, event: Event) -> None:
        """Adds an event.

        Raises:
            OverflowError: if nobody reads for so long that even finals are too many.
        """
        if len(self._events) >= self._max_events:
            if isinstance(self._events[-1], Partial):
                self._events.pop()
            elif len(self._events) >= self._max_finals:
                raise OverflowError(f"expected events to be read, got {len(self._events)} unread ones")
        self._events.append(event)

    def get(self) -> Event:
        """Takes the oldest event."""
        return self._events.popleft()
