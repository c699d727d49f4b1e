"""Bytes from one thread to another that reads them like a file."""

import threading


class Pipe:
    """A file to read that is written piece by piece; the writer waits for the reader to want more.

    So at most one piece is ever held, and when `write` returns, the reader has done all that it could with it.
    """

    def __init__(self) -> None:
        """Starts empty."""
        self._changed = threading.Condition()
        self._data = memoryview(b"")
        self._ended = self._abandoned = False
        self.closed = False
        """Whether the writer wants nothing more."""
        self._hungry = False  # the reader waits for data

    def write(self, data: bytes) -> None:
        """Gives the reader bytes and waits until it wants more or has gone.

        Raises:
            RuntimeError: after `end` or `close`.
        """
        self.check_open()
        with self._changed:
            if self._abandoned:
                return
            self._data, self._hungry = memoryview(data), False
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._hungry or self._abandoned)

    def check_open(self) -> None:
        """Raises a RuntimeError after `end` or `close`."""
        if self._ended:
            raise RuntimeError("expected no bytes after the end")

    def end(self) -> None:
        """No more bytes will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """As `end`, and what was not read is dropped."""
        with self._changed:
            self._ended = self.closed = True
            self._data = memoryview(b"")
            self._changed.notify_all()

    def abandon(self) -> None:
        """The reader has gone: nobody waits for it any more."""
        with self._changed:
            self._abandoned = True
            self._data = memoryview(b"")
            self._changed.notify_all()

    def read(self, size: int) -> bytes:
        """At most `size` bytes, at least one; waits for them. None at the end."""
        with self._changed:
            if not self._data and not self._ended:
                self._hungry = True
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._data) or self._ended)
            data, self._data = self._data[:size], self._data[size:]
            return bytes(data)
