"""The audio that the server may still ask for again."""

from collections import deque


class PendingAudio:
    """Bytes from the last acknowledged one to the newest, and a place up to which they were sent.

    All positions are in bytes from the session's start. A flush is a mark between two bytes; it is sent again, at its
    place, until it is answered.

    Args:
        capacity: Most bytes that are kept.

    Attributes:
        start: First byte that is kept: everything before it is acknowledged.
        sent: First byte that was not sent on this connection.
    """

    def __init__(self, capacity: int) -> None:
        """Starts empty."""
        if capacity < 1:
            raise ValueError(f"expected a capacity of 1 byte or more, got {capacity}")
        self.capacity = capacity
        self.start = self.sent = 0
        self._bytes = bytearray()
        self._flushes: deque[int] = deque()  # not answered, in order
        self._flushes_sent = 0  # of them, on this connection

    @property
    def end(self) -> int:
        """Bytes added in all."""
        return self.start + len(self._bytes)

    @property
    def room(self) -> int:
        """Bytes that may be added."""
        return self.capacity - len(self._bytes)

    @property
    def all_sent(self) -> bool:
        """Whether audio and flushes were all sent."""
        return self.sent == self.end and self._flushes_sent == len(self._flushes)

    def add(self, data: bytes | memoryview) -> None:
        """Adds the newest bytes.

        Raises:
            ValueError: if there is no room for them; nothing was added then.
        """
        if len(data) > self.room:
            raise ValueError(f"expected at most {self.room} bytes, got {len(data)}")
        self._bytes += data

    def flush(self) -> None:
        """Marks the end of what came so far."""
        self._flushes.append(self.end)

    def flushed(self, position: int) -> None:
        """The flushes up to here were answered."""
        while self._flushes and self._flushes[0] <= position:
            self._flushes.popleft()
            self._flushes_sent = max(0, self._flushes_sent - 1)

    def acknowledge(self, position: int) -> None:
        """The server has everything before this byte; an older acknowledgement changes nothing.

        Raises:
            ValueError: for bytes that were not sent.
        """
        if position > self.sent:
            raise ValueError(f"expected at most {self.sent} acknowledged bytes, got {position}")
        if position > self.start:
            del self._bytes[: position - self.start]
            self.start = position

    def rewind(self, position: int) -> None:
        """A new connection begins: the server has everything before this byte, and needs the rest.

        Raises:
            ValueError: for bytes that are not kept any more, or never came.
        """
        if not self.start <= position <= self.end:
            raise ValueError(f"expected from {self.start} to {self.end} received bytes, got {position}")
        self.sent = position
        self.acknowledge(position)
        # A flush before this byte arrived, as its successors did. One at this byte may have been lost.
        self._flushes_sent = sum(flush < position for flush in self._flushes)

    def next_audio(self, most: int) -> bytes | None:
        """Bytes to send now, up to the next flush; None if there are none or a flush comes first.

        Args:
            most: Longest piece, in bytes.
        """
        end = self._next_flush() if self._flush_waits() else self.end
        piece = bytes(self._bytes[self.sent - self.start : min(end, self.sent + most) - self.start])
        self.sent += len(piece)
        return piece or None

    def take_flush(self) -> bool:
        """Whether a flush is to be sent now; it counts as sent then."""
        due = self._flush_waits() and self._next_flush() == self.sent
        self._flushes_sent += due
        return due

    def _flush_waits(self) -> bool:
        return self._flushes_sent < len(self._flushes)

    def _next_flush(self) -> int:
        return self._flushes[self._flushes_sent]
