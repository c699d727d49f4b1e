"""One stream in the worker: its place on the device, its audio, and what it was asked for."""

from collections import deque

import numpy as np

from asr.streaming.engine import FRAME_MS
from asr.streaming.events import Event, Partial
from asr.streaming.looks import BlockLook
from asr.streaming.stream import StreamState
from server.worker.messages import Audio, Finish, Flush, Hypothesis, Look, Reading, Segment, SpokenWord

SAMPLE_TYPE = np.dtype("<f4")


class WorkerStream:
    """A stream between its messages and the steps.

    Args:
        number: The server's number for it.
        slot: Where its state is.
        chunk_ms: Its chunk.
        state: Its samples and words.
        phrases: Place of its list of phrases.
    """

    def __init__(self, number: int, slot: int, chunk_ms: int, state: StreamState, phrases: int = 0) -> None:
        self.number, self.slot, self.chunk_ms, self.state, self.phrases = number, slot, chunk_ms, state, phrases
        self.since = 0.0  # when the next chunk became ready
        self._ending: Flush | Finish | None = None
        # What came after a flush that is not done yet: the flush does not reach into it.
        self._later: deque[tuple[Audio | Flush | Finish, float]] = deque()
        self._arrivals: deque[tuple[int, float]] = deque()  # samples received in all, and when

    def take_in(self, message: Audio | Flush | Finish, now: float) -> None:
        """Take audio, or the wish to end a segment or the stream.

        Raises:
            ValueError: the audio is no whole number of finite samples.
        """
        if self._ending is not None:
            self._later.append((message, now))
            return
        ready = self.ready
        if isinstance(message, Audio):
            if len(message.samples) % SAMPLE_TYPE.itemsize:
                size = SAMPLE_TYPE.itemsize
                raise ValueError(f"expected samples of {size} bytes, got {len(message.samples)} bytes")
            self.state.push(np.frombuffer(message.samples, SAMPLE_TYPE))
            self._arrivals.append((self.state.buffer.received, now))
        else:
            self._ending = message
            self.state.flush()
        if not ready:
            self.since = now

    @property
    def ready(self) -> bool:
        """Whether a chunk can be computed."""
        return self.state.ready()

    def arrived(self, taken: int) -> float:
        """When the sample before `taken` arrived: the last one of the newest chunk."""
        while len(self._arrivals) > 1 and self._arrivals[0][0] < taken:
            self._arrivals.popleft()
        return self._arrivals[0][1]

    def ended(self, now: float) -> tuple[Flush | Finish, list[Event]] | None:
        """Once all audio before a flush or finish is recognised: that message, and the segment's last events."""
        if self._ending is None or self.ready:
            return None
        message, self._ending = self._ending, None
        events = self.state.end_segment()
        later, self._later = self._later, deque()
        for waiting, arrived in later:
            self.take_in(waiting, arrived)
        self.since = now
        return message, events


def to_wire(events: list[Event]) -> tuple[Hypothesis | Segment, ...]:
    """Events of recognition as messages."""
    return tuple(_message(event) for event in events)


def looks_to_wire(looks: list[BlockLook]) -> tuple[Look, ...]:
    """Where the model looked as messages: the heads' mean."""
    return tuple(
        Look(
            audio_ms=look.end_ms,
            frame_ms=float(FRAME_MS),
            labels=look.labels,
            weights=tuple(tuple(row) for row in look.weights.mean(axis=1).tolist()),
            end_probability=look.end_probability,
        )
        for look in looks
    )


def _message(event: Event) -> Hypothesis | Segment:
    if isinstance(event, Partial):
        return Hypothesis(segment=event.segment, text=event.text, stable=event.stable)
    words = (
        SpokenWord(word=w.word, start_ms=w.start_ms, end_ms=w.end_ms, confidence=w.confidence)
        for w in event.result.words
    )
    readings = (Reading(text=a.text, confidence=a.confidence) for a in event.alternatives)
    return Segment(segment=event.segment, text=event.result.text, words=tuple(words), alternatives=tuple(readings))
