"""Which of the server's events are new: a session that is resumed repeats itself."""

from client.inbox import Event
from server.wire import Final, Partial


class News:
    """Lets every final through once and in order, and partials that do not go back.

    Attributes:
        segments: Finals so far: the number of the open segment.
    """

    def __init__(self) -> None:
        """Starts with nothing heard."""
        self.segments = 0
        self._partial: Partial | None = None  # the newest of the open segment

    def is_news(self, event: Event) -> bool:
        """Whether the application does not have the event yet; then it counts as told.

        Raises:
            ValueError: if a final before it is missing.
        """
        if event.segment > self.segments:
            raise ValueError(f"expected segment {self.segments}, got {event.segment}: words in between are missing")
        if event.segment < self.segments:
            return False
        if isinstance(event, Final):
            self.segments, self._partial = self.segments + 1, None
            return True
        last = self._partial
        if last is not None and (event.audio_ms < last.audio_ms or event == last):
            return False
        self._partial = event
        return True
