"""When to try again."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Exponential back-off with jitter, which keeps clients that were cut off together from coming back together.

    Attributes:
        first_s: Longest wait before the first new try, in seconds.
        longest_s: Longest wait ever, in seconds.
        factor: By which the longest wait grows from try to try.
        give_up_s: Time since the loss after which no further try is made, in seconds.

    Raises:
        ValueError: for a number out of range.
    """

    first_s: float = 0.2
    longest_s: float = 5.0
    factor: float = 2.0
    give_up_s: float = 60.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not 0 <= self.first_s <= self.longest_s:
            raise ValueError(f"expected 0 <= first_s <= longest_s, got {self.first_s} and {self.longest_s}")
        if self.factor < 1:
            raise ValueError(f"expected factor >= 1, got {self.factor}")
        if self.give_up_s < 0:
            raise ValueError(f"expected give_up_s >= 0, got {self.give_up_s}")

    def delays(self, uniform: Callable[[float, float], float] = random.uniform) -> Iterator[float]:
        """Waits in seconds, without end: each between half of the longest wait and all of it.

        Args:
            uniform: Draws a number between two.
        """
        longest = self.first_s
        while True:
            yield uniform(longest / 2, longest)
            longest = min(longest * self.factor, self.longest_s)
