"""How long words took, from the client's clock and the messages' own timings.

| measure | definition |
|---|---|
| partial | a partial came − the audio up to its `audio_ms` was sent |
| first word | a recording's first partial with text came − the audio up to where its first word begins was sent |
| final | a final came − the audio up to the end of its last word was sent; holds the silence that ends a segment |
| stop | `done` came − `stop` was called |
| queue, compute | as the server says in partials |
| network | partial − queue − compute: the way there and back, and the two event loops |

Only words with times have first-word and final latencies. All in milliseconds.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from client.inbox import Event
from server.wire import Final


@dataclass(frozen=True)
class Summary:
    """A distribution, in milliseconds.

    Attributes:
        count: Number of values.
        p50: Median.
        p95: 95th percentile.
        p99: 99th percentile.
        max: Largest.
    """

    count: int
    p50: float
    p95: float
    p99: float
    max: float


def summary(values: Sequence[float]) -> Summary | None:
    """The distribution of some values; None of none."""
    if not values:
        return None
    p50, p95, p99, most = (round(float(v), 2) for v in np.percentile(values, [50, 95, 99, 100]))
    return Summary(len(values), p50, p95, p99, most)


@dataclass
class Latencies:
    """What was measured, in milliseconds; see the module."""

    partial: list[float] = field(default_factory=list)
    first_word: list[float] = field(default_factory=list)
    final: list[float] = field(default_factory=list)
    stop: list[float] = field(default_factory=list)
    queue: list[float] = field(default_factory=list)
    compute: list[float] = field(default_factory=list)
    network: list[float] = field(default_factory=list)


class Stopwatch:
    """Measures one recording.

    Args:
        into: Takes the measurements.
    """

    def __init__(self, into: Latencies) -> None:
        """Starts with nothing sent."""
        self._into = into
        self._ends: list[float] = []  # of each block sent, in milliseconds of audio
        self._times: list[float] = []  # at which it was sent, in seconds
        self._first: float | None = None  # when the first partial with text came

    def sent(self, end_ms: float, now: float) -> None:
        """Audio up to here was sent."""
        self._ends.append(end_ms)
        self._times.append(now)

    def came(self, event: Event, now: float) -> None:
        """An event came."""
        if isinstance(event, Final):
            self._final(event, now)
            return
        if event.text and self._first is None:
            self._first = now
        since = self._since(event.audio_ms, now)
        if since is not None:
            queue, compute = event.timing.queue_ms, event.timing.compute_ms
            self._into.partial.append(since)
            self._into.queue.append(queue)
            self._into.compute.append(compute)
            self._into.network.append(since - queue - compute)

    def _final(self, event: Final, now: float) -> None:
        if not event.words:
            return
        since = self._since(event.words[-1].end_ms, now)
        if since is not None:
            self._into.final.append(since)
        if event.segment == 0 and self._first is not None:
            since = self._since(event.words[0].start_ms, self._first)
            if since is not None:
                self._into.first_word.append(since)

    def _since(self, audio_ms: float, now: float) -> float | None:
        """Milliseconds since the audio up to here was sent; None if it was not yet, as the end of a padded chunk."""
        index = bisect_left(self._ends, audio_ms)
        return 1000 * (now - self._times[index]) if index < len(self._ends) else None
