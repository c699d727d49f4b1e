"""A session's stream at a worker: what goes there, and goes there again after the worker was lost."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from server.session.ledger import SAMPLE_RATE, AudioLedger, Samples
from server.worker import messages as worker

LEAST_SAMPLES = SAMPLE_RATE // 100  # of a message: not one for every sample of a client that sends them singly


@dataclass(frozen=True)
class _FlushMark:
    """A flush that the worker has not answered."""

    position: int  # sample at 16 kHz before which it was asked for
    source_samples: int  # the same at the client's rate


class Recognition:
    """Keeps whatever a new worker needs to give the words that the lost one would have given.

    A segment's words never depend on audio before `keep_from` (asr/streaming/stream.py), so audio from there on, the
    flushes between, and where the segment begins are all that has to be kept.

    Args:
        opening: Opens the stream at its first worker.
    """

    def __init__(self, opening: worker.Open) -> None:
        """Starts without audio, at a worker."""
        self.opening = opening
        self.ledger = AudioLedger()
        self._sent = 0  # samples that went to the worker
        self.position = 0  # samples recognised so far, by any worker
        self._segment_ms = self._begun_ms = 0  # as the worker has it for the open segment
        self.connected = True
        self.finishing = False
        self._flushes: deque[_FlushMark] = deque()

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that no worker has recognised."""
        return max(0, self.ledger.end - self.position) / SAMPLE_RATE

    @property
    def held_s(self) -> float:
        """Seconds of recognised audio that may be needed again."""
        return max(0, min(self.position, self.ledger.end) - self.ledger.start) / SAMPLE_RATE

    @property
    def flushes(self) -> int:
        """How many flushes wait for their answer."""
        return len(self._flushes)

    def audio(self, samples: Samples) -> list[worker.ToWorker]:
        """More audio, [N] at 16 kHz."""
        self.ledger.append(samples)
        return self._rest() if self.ledger.end - self._sent >= LEAST_SAMPLES else []

    def flush(self, source_samples: int) -> list[worker.ToWorker]:
        """Everything that came is to be final; it is `source_samples` at the client's rate."""
        self._flushes.append(_FlushMark(self.ledger.end, source_samples))
        return [*self._rest(), *self._if_connected(worker.Flush(stream=self.opening.stream))]

    def finish(self) -> list[worker.ToWorker]:
        """Everything came."""
        self.finishing = True
        return [*self._rest(), *self._if_connected(worker.Finish(stream=self.opening.stream))]

    def drop(self) -> list[worker.ToWorker]:
        """Nobody wants it any more."""
        return self._if_connected(worker.Drop(stream=self.opening.stream))

    def recognised(self, position: int, keep_from: int, segment_ms: int = 0, begun_ms: int = 0) -> None:
        """The worker got this far; arguments as of its `Recognised`.

        Raises:
            ValueError: for samples that never came.
        """
        self.ledger.forget(keep_from)
        self.position = max(self.position, position)
        self._segment_ms, self._begun_ms = segment_ms, begun_ms

    def flushed(self, keep_from: int) -> int:
        """The worker has answered the oldest flush.

        Returns:
            What `flush` was told.

        Raises:
            ValueError: if there was none, or for samples that never came.
        """
        if not self._flushes:
            raise ValueError("expected no answer, as there is no flush")
        mark = self._flushes.popleft()
        self.recognised(mark.position, keep_from)
        return mark.source_samples

    def replay(self, segment: int) -> list[worker.ToWorker]:
        """Opens the stream at another worker and sends everything that it needs.

        Args:
            segment: Number of the first segment that is not final.
        """
        self.connected = True
        position = self.ledger.start
        opening = msgspec.structs.replace(
            self.opening, position=position, segment=segment, segment_ms=self._segment_ms, begun_ms=self._begun_ms
        )
        sending: list[worker.ToWorker] = [opening]
        for mark in self._flushes:
            sending += self._audio(position, mark.position)
            sending.append(worker.Flush(stream=self.opening.stream))
            position = max(position, mark.position)
        sending += self._audio(position, self.ledger.end)
        self._sent = self.ledger.end
        if self.finishing:
            sending.append(worker.Finish(stream=self.opening.stream))
        return sending

    def _rest(self) -> list[worker.ToWorker]:
        """The audio that did not go to the worker yet."""
        begin, self._sent = self._sent, self.ledger.end
        return self._if_connected(*self._audio(begin, self.ledger.end))

    def _audio(self, start: int, end: int) -> Iterator[worker.ToWorker]:
        for piece in self.ledger.between(start, end):
            yield worker.Audio(stream=self.opening.stream, samples=piece.astype("<f4", copy=False).tobytes())

    def _if_connected(self, *messages: worker.ToWorker) -> list[worker.ToWorker]:
        return list(messages) if self.connected else []
