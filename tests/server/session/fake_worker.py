"""A worker whose words tell exactly which audio it heard, cut how, since the segment began."""

import zlib
from collections import deque

import numpy as np
from numpy.typing import NDArray

from server.worker import messages as worker

CHUNK = 1_600  # samples at 16 kHz
MEMORY = 2  # chunks
STARTED = worker.Started(model="fake", chunks_ms=(100, 200), slots=8, lookahead_ms=20, device="cpu", phrase_lists=16)


class FakeStream:
    """One stream: every chunk is a word, a chunk of silence ends the segment.

    A word is a checksum of its chunk, of all before it in the segment, and of two chunks before that: recognition that
    starts at another sample, or misses a flush, or does not know where the segment begins, gives other words.
    """

    def __init__(self, opening: worker.Open) -> None:
        self.stream, self.segment = opening.stream, opening.segment
        self.position = self.keep_from = self._fresh = opening.position
        self.segment_ms, self.begun_ms = opening.segment_ms, opening.begun_ms
        self._past: deque[bytes] = deque(maxlen=MEMORY)
        self._waiting = np.zeros(0, np.float32)
        self._words: list[worker.SpokenWord] = []
        self._sum = 0

    def take(self, message: worker.ToWorker) -> list[worker.FromWorker]:
        if isinstance(message, worker.Audio):
            self._waiting = np.concatenate([self._waiting, np.frombuffer(message.samples, "<f4")])
            return self._chunks()
        if isinstance(message, worker.Flush):
            return [self._rest(), worker.Flushed(stream=self.stream, keep_from=self.keep_from)]
        assert isinstance(message, worker.Finish)
        return [self._rest(), worker.Finished(stream=self.stream)]

    def _chunks(self) -> list[worker.FromWorker]:
        out: list[worker.FromWorker] = []
        while len(self._waiting) >= CHUNK:
            chunk, self._waiting = self._waiting[:CHUNK], self._waiting[CHUNK:]
            out.append(self._recognise(chunk))
        return out

    def _rest(self) -> worker.FromWorker:
        chunk, self._waiting = self._waiting, np.zeros(0, np.float32)
        events = () if not len(chunk) else self._hear(chunk)
        events = (*events, *self._end())
        self.keep_from = self._fresh = self.position
        self.segment_ms = self.begun_ms = self.position // 16
        self._past.clear()
        return self._recognised(events)

    def _recognise(self, chunk: NDArray[np.float32]) -> worker.Recognised:
        """A chunk; of one from before the segment is known to begin nothing is said."""
        if (self.position + len(chunk)) // 16 <= self.begun_ms:
            self.position += len(chunk)
            self._past.append(chunk.tobytes())
            return self._recognised(())
        return self._recognised(self._hear(chunk) if chunk.any() else self._silence(chunk))

    def _hear(self, chunk: NDArray[np.float32]) -> tuple[worker.Hypothesis, ...]:
        start, self.position = self.position, self.position + len(chunk)
        self._sum = zlib.crc32(b"".join([*self._past, chunk.tobytes()]), self._sum)
        self._past.append(chunk.tobytes())
        text = f"{self._sum:08x}"
        self._words.append(worker.SpokenWord(text, start // 16, self.position // 16, 0.5))
        text = " ".join(word.word for word in self._words)
        return (worker.Hypothesis(segment=self.segment, text=text, stable=text.rfind(" ") + 1),)

    def _silence(self, chunk: NDArray[np.float32]) -> tuple[worker.Segment, ...]:
        """Of the segment that it ends, or of the next, which begins in it: the fake's memory goes on."""
        start, self.position = self.position, self.position + len(chunk)
        self._past.append(chunk.tobytes())
        if not self._words:
            return ()
        self.segment_ms, self.begun_ms = start // 16, self.position // 16
        self.keep_from = self._fresh + max(0, (start - self._fresh) // CHUNK - MEMORY) * CHUNK
        return self._end()

    def _end(self) -> tuple[worker.Segment, ...]:
        words, self._words, self._sum = tuple(self._words), [], 0
        if not words:
            return ()
        text = " ".join(word.word for word in words)
        readings = (worker.Reading(text="or so", confidence=0.25),)
        self.segment += 1
        return (worker.Segment(segment=self.segment - 1, text=text, words=words, alternatives=readings),)

    def _recognised(self, events: tuple[worker.Hypothesis | worker.Segment, ...]) -> worker.Recognised:
        return worker.Recognised(
            stream=self.stream,
            events=events,
            position=self.position,
            keep_from=self.keep_from,
            segment_ms=self.segment_ms,
            begun_ms=self.begun_ms,
            queue_ms=1.5,
            compute_ms=2.5,
            batch=1,
        )


class FakeWorker:
    """A process with one stream: messages queue up on both sides, and are lost with it."""

    def __init__(self) -> None:
        self.inbox: deque[worker.ToWorker] = deque()
        self.outbox: deque[worker.FromWorker] = deque()
        self.stream: FakeStream | None = None

    def work(self) -> bool:
        """Takes one message; whether there was one."""
        if not self.inbox:
            return False
        message = self.inbox.popleft()
        if isinstance(message, worker.Open):
            assert self.stream is None, "opened twice"
            self.stream = FakeStream(message)
        elif isinstance(message, worker.Drop):
            self.stream = None
        else:
            assert self.stream is not None, f"{message} before open"
            self.outbox.extend(self.stream.take(message))
        return True

    def kill(self) -> None:
        self.__init__()  # type: ignore[misc]
