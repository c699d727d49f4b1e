"""Which chunks go together, as a policy on plain values."""

from hypothesis import given
from hypothesis import strategies as st

from server.worker.batcher import ReadyChunk, next_batch

CHUNKS = st.builds(
    ReadyChunk,
    stream=st.integers(0, 50),
    chunk_ms=st.sampled_from([160, 320, 640]),
    since=st.floats(0, 100, allow_nan=False),
)
READY = st.lists(CHUNKS, max_size=40, unique_by=lambda chunk: chunk.stream)


@given(READY, st.integers(1, 8))
def test_a_batch_is_the_most_urgent_chunks_of_one_size(ready: list[ReadyChunk], largest: int) -> None:
    batch = next_batch(ready, largest)
    assert bool(batch) == bool(ready)
    if not ready:
        return
    size = batch[0].chunk_ms
    assert min(chunk.deadline for chunk in ready) == batch[0].deadline
    assert {chunk.chunk_ms for chunk in batch} == {size}
    left = [chunk for chunk in ready if chunk.chunk_ms == size and chunk not in batch]
    assert len(batch) == min(largest, len(batch) + len(left))
    assert all(chunk.deadline >= batch[-1].deadline for chunk in left)


@given(READY, st.integers(1, 8))
def test_every_chunk_has_its_turn(ready: list[ReadyChunk], largest: int) -> None:
    done: list[ReadyChunk] = []
    left = list(ready)
    while left:
        batch = next_batch(left, largest)
        done += batch
        left = [chunk for chunk in left if chunk not in batch]
    assert sorted(done, key=lambda c: c.stream) == sorted(ready, key=lambda c: c.stream)


def test_streams_with_a_backlog_take_turns_with_live_ones() -> None:
    """Forty files sent at once and a live stream, with room for four and 10 ms a batch."""
    now, live_since, waits = 0.0, 0.0, []
    backlog = {stream: 0.0 for stream in range(1, 41)}
    for step in range(400):
        ready = [ReadyChunk(stream, 320, since) for stream, since in backlog.items()]
        if live_since <= now:
            ready.append(ReadyChunk(0, 320, live_since))
        batch = next_batch(ready, 4)
        now = 0.01 * (step + 1)
        for chunk in batch:
            if chunk.stream == 0:
                waits.append(now - live_since)
                live_since += 0.32
            else:
                backlog[chunk.stream] = now
    assert len(waits) >= 12
    assert max(waits) < 0.15


def test_a_small_chunk_does_not_wait_for_large_ones() -> None:
    ready = [ReadyChunk(stream, 640, 0.0) for stream in range(8)] + [ReadyChunk(9, 160, 0.1)]
    assert next_batch(ready, 4) == [ready[-1]]
