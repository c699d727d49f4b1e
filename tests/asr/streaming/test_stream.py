"""One stream's buffer and words, without a model."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError
from asr.streaming.events import Event, Final, Partial
from asr.streaming.stream import StreamBuffer, StreamWords
from asr.tokenizer import WORD_START, Tokenizer, train_tokenizer

CHUNK, BLOCK = 20_480, 10_240  # samples of 1280 ms, of 640 ms
SENTENCES = ["the cat sat on the mat", "a rat ate the hat then", "some tea is hot at noon"]


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


def test_a_long_recording_is_not_copied_for_each_chunk() -> None:
    buffer = StreamBuffer(CHUNK, BLOCK)
    buffer.push(np.zeros(50 * CHUNK, np.float32))
    buffer.take()
    first = buffer._parts[0]
    buffer.take()
    assert np.shares_memory(first, buffer._parts[0])


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


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(SENTENCES * 3, 40)


class Chunks:
    """Feeds a stream's words one chunk of 640 ms after another."""

    def __init__(self, tokenizer: Tokenizer, silence_ms: int) -> None:
        self.tokenizer, self.time_ms = tokenizer, 0
        self.words = StreamWords(tokenizer, silence_ms)

    def say(self, *pieces: tuple[str, int], length_ms: int = 640) -> list[Event]:
        """A chunk with these pieces (▁ as _) at these frames of it."""
        labels = np.full((2, 6), -1, np.int32)
        frames, log_probs = np.zeros((2, 6), np.int32), np.full((2, 6), -0.5, np.float32)
        for i, (text, frame) in enumerate(pieces):
            labels.flat[2 * i] = self.tokenizer.texts.index(text.replace("_", WORD_START))
            frames.flat[2 * i] = frame
        start_ms, self.time_ms = self.time_ms, self.time_ms + length_ms
        out = {"labels": labels, "frames": frames, "log_probs": log_probs}
        return self.words.accept(out, start_ms, self.time_ms)


def test_partials_come_when_the_text_changes(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 0)
    assert chunks.say() == []
    assert chunks.say(("_the", 1)) == [Partial(0, "the", 0, 1280)]
    assert chunks.say() == []
    assert chunks.say(("_s", 1), ("at", 3)) == [Partial(0, "the sat", 4, 2560)]
    assert chunks.say(("_", 1)) == []  # a mark without text yet
    assert chunks.say(("_a", 1)) == [Partial(0, "the sat a", 8, 3840)]  # and its space is not another


def test_end_of_stream_ends_the_segment(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 0)
    chunks.say(("_the", 1), ("_a", 4))
    (event,) = chunks.words.finish(640)
    assert isinstance(event, Final)
    assert (event.segment, event.result.text, event.audio_ms) == (0, "the a", 640)
    assert [(w.start_ms, w.end_ms) for w in event.result.words] == [(80, 160), (320, 400)]
    assert chunks.words.finish(640) == []  # nothing new
    assert chunks.words.transcript(700).segments == (event.result,)
    assert chunks.words.transcript(700).duration_ms == 700


@pytest.mark.parametrize(("silence_ms", "chunks_until"), [(80, 1), (560, 1), (561, 2), (1200, 2), (1840, 3)])
def test_silence_ends_a_segment(tokenizer: Tokenizer, silence_ms: int, chunks_until: int) -> None:
    """The word ends at 80 ms of a chunk: after one chunk there were 560 ms of silence."""
    chunks = Chunks(tokenizer, silence_ms)
    events = chunks.say(("_the", 0))
    for _ in range(1, chunks_until):
        assert not any(isinstance(event, Final) for event in events)
        events = chunks.say()
    assert [type(event) for event in events] == [Final]
    assert chunks.say(("_a", 2))[0].segment == 1


def test_silence_counts_from_the_latest_frame(tokenizer: Tokenizer) -> None:
    """The last label may attend to an earlier frame than the one before it."""
    chunks = Chunks(tokenizer, 320)
    assert [type(e) for e in chunks.say(("_the", 6), ("_a", 1))] == [Partial]
    assert [type(e) for e in chunks.say()] == [Final]


def test_without_silence_only_the_end_ends_a_segment(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 0)
    chunks.say(("_the", 0))
    assert all(chunks.say() == [] for _ in range(20))
    assert [type(e) for e in chunks.words.finish(chunks.time_ms)] == [Final]


def test_segments_do_not_overlap(tokenizer: Tokenizer) -> None:
    """A label may attend to frames before its block, where the segment before has its words."""
    chunks = Chunks(tokenizer, 80)
    assert isinstance(chunks.say(("_the", 0), ("_a", 5))[0], Final)
    (event,) = chunks.say(("_s", -6))
    assert isinstance(event, Final)
    assert chunks.words.segments[0].end_ms == 480 == event.result.start_ms <= event.result.end_ms


def test_words_end_with_the_audio(tokenizer: Tokenizer) -> None:
    """The last block is filled up with silence, which a label may attend to."""
    chunks = Chunks(tokenizer, 0)
    chunks.say(("_the", 2), ("_a", 7), length_ms=300)
    chunks.words.finish(300)
    words = chunks.words.transcript(300).words
    assert [(w.start_ms, w.end_ms) for w in words] == [(160, 240), (300, 300)]


def test_a_lone_mark_is_no_segment(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 80)
    assert chunks.say(("_", 0)) == []
    assert chunks.words.transcript(640).segments == ()
    (event,) = chunks.say(("_a", 0))
    assert event.segment == 0


def test_times_do_not_start_before_the_audio(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 0)
    chunks.say(("_a", -3))
    chunks.words.finish(640)
    assert chunks.words.segments[0].start_ms == 0
