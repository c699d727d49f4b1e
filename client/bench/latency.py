"""How long words took, from the client's clock and the messages' own timings: see docs/latency.md.

| measure | definition |
|---|---|
| chunk | a partial came − the audio up to its `audio_ms` was sent |
| queue, compute | of that chunk, as the server says in the partial |
| network | chunk − queue − compute: the way there and back, and the two event loops |
| word | the first partial with so many words came − the audio up to the end of the word was sent |
| first partial | a recording's first partial with text came − the audio up to where its first word begins was sent |
| final | a final came − the audio up to the end of its last word was sent; holds the silence that ends a segment |
| stop | `done` came − `stop` was sent |
| late | a block was sent − it was due: what the client itself was late |

All in milliseconds. A word's times are the recogniser's own.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from client.inbox import Event
from server.wire import Final, Partial

MEASURES = ("chunk", "queue", "compute", "network", "word", "first_partial", "final", "stop", "late")


@dataclass(frozen=True)
class Summary:
    """A distribution, in milliseconds.

    Attributes:
        count: Number of values.
        mean: Mean.
        p50: Median.
        p95: 95th percentile.
        p99: 99th percentile.
        max: Largest.
    """

    count: int
    mean: float
    p50: float
    p95: float
    p99: float
    max: float


def summary(values: Sequence[float]) -> Summary | None:
    """The distribution of some values; None of none."""
    if not values:
        return None
    p50, p95, p99, most = (round(float(v), 2) for v in np.percentile(values, [50, 95, 99, 100]))
    return Summary(len(values), round(float(np.mean(values)), 2), p50, p95, p99, most)


def percentiles(values: Sequence[float]) -> tuple[float, ...]:
    """The percentiles 0 to 100 of some values, for plots; nothing of none."""
    return tuple(round(float(v), 2) for v in np.percentile(values, range(101))) if values else ()


class Latencies:
    """What was measured, in milliseconds, by the measure's name.

    Attributes:
        counting: Whether it takes values; what comes at other times is not measured.
    """

    def __init__(self) -> None:
        """Counts from the beginning."""
        self.counting = True
        self._values: dict[str, list[float]] = {name: [] for name in MEASURES}

    def __getitem__(self, name: str) -> list[float]:
        """The values of a measure."""
        return self._values[name]

    def add(self, name: str, value: float) -> None:
        """Takes a value."""
        if self.counting:
            self._values[name].append(value)


class Stopwatch:
    """Measures one recording.

    Args:
        into: Takes the measurements.
        ends_ms: Audio up to the end of each block that will be sent, in milliseconds.
    """

    def __init__(self, into: Latencies, ends_ms: Sequence[float]) -> None:
        """Starts with nothing sent."""
        self._into, self._ends = into, ends_ms
        self._times: list[float] = []  # at which each block was sent, in seconds
        self._seen: list[float] = []  # at which the open segment first had 1, 2, … words

    def sent(self, now: float, due: float) -> None:
        """The next block was sent; it was to be at `due`."""
        self._times.append(now)
        self._into.add("late", 1000 * (now - due))

    def came(self, event: Event, now: float) -> None:
        """An event came."""
        if isinstance(event, Partial):
            self._partial(event, now)
        else:
            self._final(event, now)
            self._seen = []

    def _partial(self, event: Partial, now: float) -> None:
        words = len(event.text.split())
        self._seen += [now] * (words - len(self._seen))
        since = self._since(event.audio_ms, now)
        if since is not None:
            queue, compute = event.timing.queue_ms, event.timing.compute_ms
            self._into.add("chunk", since)
            self._into.add("queue", queue)
            self._into.add("compute", compute)
            self._into.add("network", since - queue - compute)

    def _final(self, event: Final, now: float) -> None:
        if not event.words:
            return
        seen = self._seen + [now] * (len(event.words) - len(self._seen))
        for word, when in zip(event.words, seen, strict=False):
            self._add("word", word.end_ms, when)
        self._add("final", event.words[-1].end_ms, now)
        if event.segment == 0:
            self._add("first_partial", event.words[0].start_ms, seen[0])

    def _add(self, name: str, audio_ms: float, now: float) -> None:
        since = self._since(audio_ms, now)
        if since is not None:
            self._into.add(name, since)

    def _since(self, audio_ms: float, now: float) -> float | None:
        """Milliseconds since the audio up to here was sent; None if it was not yet, as the end of a padded chunk."""
        index = bisect_left(self._ends, audio_ms)
        return 1000 * (now - self._times[index]) if index < len(self._times) else None
