"""Which streams' chunks are computed together: the earliest deadline first.

A chunk is ready when its audio is there and the stream's chunk before it is done; its deadline is one chunk's length
later, when a live stream's next chunk comes. So a stream with a backlog (a file sent at once, a replay) waits its turn
behind live ones instead of going first with old audio, and no stream waits for ever.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class ReadyChunk:
    """A stream whose next chunk can be computed.

    Attributes:
        stream: Its number; one chunk of a stream is ready at a time.
        chunk_ms: The chunk's size.
        since: When it became ready, in seconds of any monotonic clock.
    """

    stream: int
    chunk_ms: int
    since: float

    @property
    def deadline(self) -> float:
        """When it should be done, on the same clock."""
        return self.since + self.chunk_ms / 1000


def next_batch(ready: Iterable[ReadyChunk], largest: int) -> list[ReadyChunk]:
    """The chunks to compute now.

    Args:
        ready: All that could be.
        largest: Chunks that a batch holds at most, 1 or more.

    Returns:
        Chunks of one size, the earliest deadlines first, that with the earliest of all among them; none if none is
        ready.
    """
    ordered = sorted(ready, key=lambda chunk: (chunk.deadline, chunk.stream))
    return [chunk for chunk in ordered if chunk.chunk_ms == ordered[0].chunk_ms][:largest]
