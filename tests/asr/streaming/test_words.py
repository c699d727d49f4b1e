"""One stream's labels as events, without a model."""

import numpy as np
import pytest

from asr.decoding.hypotheses import Hypotheses
from asr.decoding.phonetic_hypotheses import PhoneticHypotheses
from asr.streaming.engine import FRAME_MS
from asr.streaming.events import Event, Final, Partial
from asr.streaming.words import OVERLAP_MS, WORDLESS_MS, StreamWords
from asr.tokenizer import WORD_START, Tokenizer, train_tokenizer
from asr.transcript import Segment

SENTENCES = ["the cat sat on the mat", "a rat ate the hat then", "some tea is hot at noon"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(SENTENCES * 3, 40)


class Patient(Hypotheses):
    """Of a search that is given as much time as the phonetic one."""

    patience_ms, longest_ms = PhoneticHypotheses.patience_ms, PhoneticHypotheses.longest_ms


SEARCHES = pytest.mark.parametrize("search", [Hypotheses, Patient])


class Chunks:
    """Feeds a stream's words one chunk of 640 ms after another."""

    def __init__(self, tokenizer: Tokenizer, silence_ms: int, search: type[Hypotheses] = Hypotheses) -> None:
        self.tokenizer, self.time_ms = tokenizer, 0
        self.words = StreamWords(tokenizer, silence_ms, hypotheses=search(FRAME_MS))
        self.restart_ms: int | None = None
        self.segments: list[Segment] = []

    def say(self, *pieces: tuple[str, int], length_ms: int = 640) -> list[Event]:
        """A chunk with these pieces (▁ as _) at these frames of it."""
        labels = np.full((2, 6), -1, np.int32)
        frames, log_probs = np.zeros((2, 6), np.int32), np.full((2, 6), -0.5, np.float32)
        for i, (text, frame) in enumerate(pieces):
            labels.flat[2 * i] = self.tokenizer.texts.index(text.replace("_", WORD_START))
            frames.flat[2 * i] = frame
        start_ms, self.time_ms = self.time_ms, self.time_ms + length_ms
        out = {"labels": labels, "frames": frames, "log_probs": log_probs}
        events, self.restart_ms = self.words.accept(out, start_ms, self.time_ms)
        self.time_ms = self.time_ms if self.restart_ms is None else self.restart_ms
        return self.kept(events)

    def finish(self) -> list[Event]:
        return self.kept(self.words.finish(self.time_ms))

    def kept(self, events: list[Event]) -> list[Event]:
        self.segments += [event.result for event in events if isinstance(event, Final)]
        return events


def test_partials_come_when_the_text_changes(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 0)
    assert chunks.say() == []
    assert chunks.say(("_the", 1)) == [Partial(0, "the", 0, 1280)]
    assert chunks.say() == []
    assert chunks.say(("_s", 1), ("at", 3)) == [Partial(0, "the sat", 3, 2560)]
    assert chunks.say(("_", 1)) == []  # a mark without text yet
    assert chunks.say(("_a", 1)) == [Partial(0, "the sat a", 7, 3840)]  # and its space is not another


def test_end_of_stream_ends_the_segment(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 0)
    chunks.say(("_the", 1), ("_a", 4))
    (event,) = chunks.finish()
    assert isinstance(event, Final)
    assert (event.segment, event.result.text, event.audio_ms) == (0, "the a", 640)
    assert [(w.start_ms, w.end_ms) for w in event.result.words] == [(80, 160), (320, 400)]
    assert chunks.finish() == []  # nothing new


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
    assert [type(e) for e in chunks.finish()] == [Final]


def test_segments_do_not_overlap(tokenizer: Tokenizer) -> None:
    """A label may attend to frames before its block, where the segment before has its words."""
    chunks = Chunks(tokenizer, 80)
    assert isinstance(chunks.say(("_the", 0), ("_a", 5))[0], Final)
    (event,) = chunks.say(("_s", -6))
    assert isinstance(event, Final)
    assert chunks.segments[0].end_ms == 480
    assert event.result.start_ms == 520  # where the segment began: in the middle of the pause
    assert event.result.start_ms <= event.result.end_ms


def test_words_end_with_the_audio(tokenizer: Tokenizer) -> None:
    """The last block is filled up with silence, which a label may attend to."""
    chunks = Chunks(tokenizer, 0)
    chunks.say(("_the", 2), ("_a", 7), length_ms=300)
    chunks.finish()
    assert [(w.start_ms, w.end_ms) for w in chunks.segments[0].words] == [(160, 240), (300, 300)]


def test_a_lone_mark_is_no_segment(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 80)
    assert chunks.say(("_", 0)) == []
    assert chunks.segments == []
    (event,) = chunks.say(("_a", 0))
    assert event.segment == 0


def test_times_do_not_start_before_the_audio(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 0)
    chunks.say(("_a", -3))
    chunks.finish()
    assert chunks.segments[0].start_ms == 0


def test_recognition_restarts_in_the_middle_of_the_pause(tokenizer: Tokenizer) -> None:
    chunks = Chunks(tokenizer, 600)
    chunks.say(("_the", 1))  # ends at 160 ms
    assert chunks.restart_ms is None
    assert [type(e) for e in chunks.say()] == [Final]
    assert chunks.restart_ms == 160 + 300


def test_recognition_restarts_after_a_time_without_words(tokenizer: Tokenizer) -> None:
    """And no event tells so: there was nothing to tell."""
    chunks = Chunks(tokenizer, 600)
    for _ in range(-(-WORDLESS_MS // 640) - 1):
        assert chunks.say() == []
        assert chunks.restart_ms is None
    assert chunks.say() == []
    assert chunks.restart_ms == -(-WORDLESS_MS // 640) * 640 - OVERLAP_MS
    assert chunks.say(("_a", 2))[0].segment == 0


@SEARCHES
def test_a_long_segment_ends_at_a_shorter_pause(tokenizer: Tokenizer, search: type[Hypotheses]) -> None:
    chunks, finals = Chunks(tokenizer, 3000, search), []
    while not finals:  # pauses of 640 ms or so, too short for 3000 ms
        events = [*chunks.say(("_a", 7)), *chunks.say()]
        finals = [event for event in events if isinstance(event, Final)]
    assert search.patience_ms < finals[0].audio_ms < search.longest_ms
    assert len(finals[0].result.words) > 10


@SEARCHES
def test_speech_without_pause_ends_before_its_latest_word(tokenizer: Tokenizer, search: type[Hypotheses]) -> None:
    chunks, events = Chunks(tokenizer, 600, search), []
    while not any(isinstance(event, Final) for event in events):
        start_ms = chunks.time_ms
        events = chunks.say(("_the", 1), ("_s", 7))
    (event,) = events
    assert event.audio_ms == start_ms + 640 >= search.longest_ms
    assert event.result.text.endswith("s the")
    last = event.result.words[-1]
    assert (last.start_ms, last.end_ms) == (start_ms + 80, start_ms + 160)
    assert chunks.restart_ms == start_ms + 7 * 80 - 80  # the "s" will be heard again, from its start


@SEARCHES
def test_an_endless_word_ends_too(tokenizer: Tokenizer, search: type[Hypotheses]) -> None:
    chunks = Chunks(tokenizer, 600, search)
    events = chunks.say(("_the", 1))
    while not any(isinstance(event, Final) for event in events):
        events = chunks.say(("s", 7))
    assert len(chunks.segments[0].words) == 1
    assert search.longest_ms <= chunks.segments[0].end_ms <= search.longest_ms + 640


def test_no_restart_reaches_back_before_what_is_needed(tokenizer: Tokenizer) -> None:
    """Whatever the labels attend to: the audio before is not kept."""
    rng = np.random.default_rng(1)
    chunks, restarts = Chunks(tokenizer, 300), 0
    for _ in range(600):
        needed_ms, start_ms = chunks.words.needed_ms, chunks.time_ms
        count = int(rng.integers(0, 3)) if rng.random() < 0.7 else 0
        chunks.say(*((str(rng.choice(["_the", "s", "_a"])), int(rng.integers(-8, 8))) for _ in range(count)))
        if chunks.restart_ms is None:
            assert chunks.words.needed_ms >= needed_ms
        else:
            restarts += 1
            assert needed_ms <= chunks.restart_ms <= start_ms + 640
    assert restarts > 20


def test_a_stream_taken_over_goes_on_with_its_numbers(tokenizer: Tokenizer) -> None:
    words = StreamWords(tokenizer, 600, start_ms=5000, segment=7)
    piece = tokenizer.texts.index(WORD_START + "the")
    row = {"labels": np.array([[piece]]), "frames": np.array([[-3]]), "log_probs": np.array([[-0.1]])}
    events, _ = words.accept(row, 5000, 5640)
    assert events == [Partial(7, "the", 0, 5640)]
    (event,) = words.finish(5640)
    assert isinstance(event, Final)
    assert (event.segment, event.result.start_ms) == (7, 5000)


class Beam:
    """Feeds hypotheses of a beam of two, a block of 640 ms at a time."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.time_ms = tokenizer, 0
        self.words = StreamWords(tokenizer, 600)

    def say(self, *hypotheses: tuple[int, str, float]) -> list[Event]:
        """Parent, pieces (▁ as _, between spaces) and score of each."""
        labels, frames = np.full((1, 2, 6), -1, np.int32), np.zeros((1, 2, 6), np.int32)
        parents, scores = np.full((1, 2), -1, np.int32), np.full((1, 2), -1e30, np.float32)
        for k, (parent, text, score) in enumerate(hypotheses):
            pieces = [self.tokenizer.texts.index(p.replace("_", WORD_START)) for p in text.split()]
            labels[0, k, : len(pieces)], frames[0, k, : len(pieces)] = pieces, 7
            parents[0, k], scores[0, k] = parent, score
        start_ms, self.time_ms = self.time_ms, self.time_ms + 640
        out = {"labels": labels, "frames": frames, "log_probs": np.full((1, 2, 6), -0.5, np.float32)}
        return self.words.accept(out | {"parents": parents, "scores": scores}, start_ms, self.time_ms)[0]


def test_only_what_all_hypotheses_share_is_stable(tokenizer: Tokenizer) -> None:
    beam = Beam(tokenizer)
    assert beam.say((0, "_the _a", 0.0), (0, "_the _s", -1.0)) == [Partial(0, "the a", 0, 640)]
    # The second is the best now, and the first is gone: what they shared, and its next word, are settled.
    events = beam.say((1, "_the", 0.0), (1, "_a", -1.0))
    assert events == [Partial(0, "the s the", 3, 1280)]
    assert beam.say((0, "_a", 0.0)) == [Partial(0, "the s the a", 9, 1920)]


def test_other_readings_come_with_the_final(tokenizer: Tokenizer) -> None:
    beam = Beam(tokenizer)
    beam.say((0, "_the", 0.0), (0, "_the _", -1.0))
    beam.say((0, "_a", 0.0), (1, "_s", -1.0))
    (final,) = beam.words.finish(1280)
    assert isinstance(final, Final)
    assert final.result.text == "the a"
    (other,) = final.alternatives
    assert other.text == "the s"
    assert other.confidence == pytest.approx(np.exp(-1) / (1 + np.exp(-1)))


def test_hypotheses_that_read_the_same_are_one_reading(tokenizer: Tokenizer) -> None:
    beam = Beam(tokenizer)
    beam.say((0, "_the", 0.0), (0, "_the _", -1.0))  # a lone word mark reads as nothing
    (final,) = beam.words.finish(640)
    assert isinstance(final, Final)
    assert final.alternatives == ()


def test_a_block_past_the_end_leaves_the_hypotheses(tokenizer: Tokenizer) -> None:
    beam = Beam(tokenizer)
    beam.say((0, "_the", 0.0), (0, "_a", -1.0))
    (final,) = beam.say()  # and so there was silence
    assert isinstance(final, Final)
    assert final.result.text == "the"


class Sounds:
    """What a stream heard: silence but for the times given."""

    def __init__(self, *loud_ms: tuple[int, int]) -> None:
        self.samples = np.full(16 * 20_000, 1e-4, np.float32)
        for start, end in loud_ms:
            self.samples[16 * start : 16 * end] = 0.1

    def __call__(self, start_ms: int, end_ms: int) -> np.ndarray:
        return self.samples[16 * start_ms : 16 * end_ms]


def said_once(tokenizer: Tokenizer, sounds: Sounds, chunks: int) -> tuple[list[Event], int | None]:
    """A word from 80 to 160 ms, and so many chunks of 640 ms without words after its own."""
    following = Chunks(tokenizer, 800)
    following.words = StreamWords(tokenizer, 800, heard=sounds)
    events = following.say(("_the", 1))
    for _ in range(chunks):
        events = following.say()
    return events, following.restart_ms


def test_a_loud_stretch_without_words_is_no_pause(tokenizer: Tokenizer) -> None:
    """Until it has lasted twice as long: noise must not keep a segment open."""
    word, speech = (80, 160), (200, 4000)
    assert said_once(tokenizer, Sounds(word), 1)[1] is not None
    assert said_once(tokenizer, Sounds(word, speech), 1) == ([], None)
    events, restart_ms = said_once(tokenizer, Sounds(word, speech), 2)
    assert [type(e) for e in events] == [Final] and restart_ms == 160 + 400


def test_recognition_restarts_where_it_is_quiet(tokenizer: Tokenizer) -> None:
    """The middle of the pause, 560 ms, is loud: a word that was not recognised."""
    _, restart_ms = said_once(tokenizer, Sounds((80, 160), (520, 960)), 1)
    assert restart_ms is not None and 200 <= restart_ms <= 480
