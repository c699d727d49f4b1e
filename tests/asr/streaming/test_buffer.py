"""The samples of one stream, cut into chunks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.streaming.buffer import StreamBuffer

CHUNK, BLOCK = 20_480, 10_240  # samples of 1280 ms, of 640 ms


@given(st.lists(st.integers(0, 30_000), max_size=8))
def test_chunks_are_the_samples_in_order(lengths: list[int]) -> None:
    samples = np.arange(sum(lengths), dtype=np.float32) / 2**18 + 1
    buffer, chunks = StreamBuffer(CHUNK, BLOCK), []
    for part in np.split(samples, np.cumsum(lengths)[:-1]) if lengths else []:
        buffer.push(part)
        while buffer.ready():
            chunks.append(buffer.take())
    assert all(valid == 16 for _, valid in chunks)
    buffer.finished = True
    while buffer.ready():
        chunks.append(buffer.take())
    joined = np.concatenate([chunk for chunk, _ in chunks] or [np.zeros(0, np.float32)])
    np.testing.assert_array_equal(joined[: len(samples)], samples)
    assert not joined[len(samples) :].any()  # silence past the end
    assert len(joined) - len(samples) < CHUNK
    assert buffer.received == len(samples)
    used = sum(valid for _, valid in chunks) * 1280
    assert 0 <= used - len(samples) < BLOCK  # filled up to a block, not to a chunk


@pytest.mark.parametrize(("samples", "valid"), [(1, 8), (10_240, 8), (10_241, 16), (20_480, 16)])
def test_the_last_chunk_has_whole_blocks(samples: int, valid: int) -> None:
    buffer = StreamBuffer(CHUNK, BLOCK)
    buffer.push(np.ones(samples, np.float32))
    buffer.finished = True
    chunk, found = buffer.take()
    assert (len(chunk), found, buffer.ready()) == (CHUNK, valid, False)
    assert chunk.sum() == samples


@given(st.lists(st.integers(0, 30_000), max_size=6), st.booleans())
def test_each_chunk_comes_with_its_look_ahead(lengths: list[int], flush: bool) -> None:
    """Which stays, to come again in the next; past the end there is silence, and whole blocks of it are used."""
    ahead = 5120
    samples = np.arange(sum(lengths), dtype=np.float32) / 2**18 + 1
    whole = np.pad(samples, (0, CHUNK + ahead))
    buffer, start = StreamBuffer(CHUNK, BLOCK, ahead_samples=ahead), 0
    for part in np.split(samples, np.cumsum(lengths)):
        buffer.push(part)
        assert buffer.ready() == (buffer.received - start >= CHUNK + ahead)
        while buffer.ready():
            chunk, valid = buffer.take()
            np.testing.assert_array_equal(chunk, whole[start : start + CHUNK + ahead])
            assert valid == 20
            start += CHUNK
            assert buffer.position == start
    buffer.finished, buffer.flushing = not flush, flush
    while buffer.ready():
        chunk, valid = buffer.take()
        np.testing.assert_array_equal(chunk, whole[start : start + CHUNK + ahead])
        blocks = -(-(len(samples) - start) // BLOCK)
        assert valid == min(8 * blocks, 20)
        start = min(start + CHUNK, len(samples))
    assert buffer.position == len(samples)


def test_a_long_recording_is_not_copied_for_each_chunk() -> None:
    buffer = StreamBuffer(CHUNK, BLOCK)
    buffer.push(np.zeros(50 * CHUNK, np.float32))
    buffer.take()
    first = buffer._waiting[0]
    buffer.take()
    assert np.shares_memory(first, buffer._waiting[0])


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((2, 3), np.float32), r"mono floating-point samples of shape \[n\], got float32 of shape \[2, 3\]"),
        (np.float32(1.0), r"got float32 of shape \[\]"),
        (np.zeros(3, np.int16), r"got int16 of shape \[3\]"),
        (np.array([0, 0, 0, np.nan, np.inf], np.float32), r"NaN or infinity at 1\.000 s"),
        (np.array([-np.inf], np.float32), r"at 1\.000 s"),
    ],
)
def test_other_samples_are_errors_and_change_nothing(samples: np.ndarray, message: str) -> None:
    buffer = StreamBuffer(CHUNK, BLOCK)
    buffer.push(np.zeros(15_997, np.float32))
    if samples.shape == (1,):
        buffer.push(np.zeros(3, np.float32))
    before = buffer.received
    with pytest.raises(AsrError, match=message):
        buffer.push(samples)
    assert buffer.received == before


def test_no_samples_after_the_end() -> None:
    buffer = StreamBuffer(CHUNK, BLOCK)
    buffer.finished = True
    assert not buffer.ready()
    with pytest.raises(AsrError, match="expected no samples after the stream was finished"):
        buffer.push(np.zeros(1, np.float32))


@given(st.data())
def test_samples_are_taken_again_after_a_rewind(data: st.DataObject) -> None:
    """Against a list of samples and a place in it; audio is pushed, taken, forgotten and taken again in any order."""
    buffer, received, position, kept = StreamBuffer(CHUNK, BLOCK, position=1000), 0, 0, 0
    for step in data.draw(st.lists(st.sampled_from(["push", "take", "rewind", "forget"]), max_size=30)):
        if step == "push":
            count = data.draw(st.integers(0, 50_000))
            buffer.push(np.arange(received, received + count, dtype=np.float32))
            received += count
        elif step == "take" and buffer.ready():
            chunk, _ = buffer.take()
            np.testing.assert_array_equal(chunk, np.arange(position, position + CHUNK, dtype=np.float32))
            position += CHUNK
        elif step == "rewind":
            position = data.draw(st.integers(kept, position))
            buffer.rewind(1000 + position)
            kept = position
        elif step == "forget":
            kept = data.draw(st.integers(kept, position))
            buffer.forget(1000 + kept)
        assert (buffer.position, buffer.received) == (1000 + position, 1000 + received)


def test_a_flush_takes_what_is_there_and_the_stream_goes_on() -> None:
    buffer = StreamBuffer(CHUNK, BLOCK)
    buffer.push(np.ones(10, np.float32))
    buffer.flushing = True
    chunk, valid = buffer.take()
    assert (chunk.sum(), valid, buffer.ready()) == (10, 8, False)
    buffer.flushing = False
    buffer.push(np.ones(CHUNK, np.float32))
    assert buffer.take()[0].sum() == CHUNK


@pytest.mark.parametrize("samples", [np.full(3, 1e300), np.full(3, -1e20, np.float32)])
def test_samples_far_beyond_full_scale_are_refused(samples: np.ndarray) -> None:
    """They would overflow into infinity, and that would end the search of every stream beside."""
    buffer = StreamBuffer(CHUNK, BLOCK)
    with pytest.raises(AsrError, match="expected samples of full scale 1, got 1e"):
        buffer.push(samples)
    assert buffer.received == 0
    buffer.push(np.full(3, 32_767.0))
    assert buffer.received == 3
