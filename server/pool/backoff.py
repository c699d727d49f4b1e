"""How long to wait before a worker that ended is started again."""

from dataclasses import dataclass


@dataclass
class Backoff:
    """Waits that double while ends follow each other quickly, and begin anew after a long life.

    Attributes:
        first_s: The first wait, in seconds.
        longest_s: The longest wait, in seconds.
        steady_s: A worker that lived this long had recovered, in seconds.
    """

    first_s: float = 0.1
    longest_s: float = 30.0
    steady_s: float = 60.0
    _next_s: float = 0.0

    def after(self, lived_s: float) -> float:
        """The wait after a worker that lived for `lived_s` seconds, in seconds."""
        wait_s = self.first_s if lived_s >= self.steady_s else max(self.first_s, self._next_s)
        self._next_s = min(2 * wait_s, self.longest_s)
        return wait_s
