"""The worker without its socket: messages in, steps, messages out."""

import logging
from collections.abc import Callable

import numpy as np

from asr.errors import AsrError
from asr.streaming.events import Event
from asr.streaming.phrase_lists import PhraseLists, PhraseListsFull
from asr.streaming.slots import SlotEngine
from asr.streaming.stream import StreamState
from asr.tokenizer import Tokenizer
from server.worker.batcher import ReadyChunk, next_batch
from server.worker.messages import (
    Drop,
    Finish,
    Finished,
    Flushed,
    FromWorker,
    Look,
    Open,
    Recognised,
    Refused,
    Shutdown,
    ToWorker,
)
from server.worker.stream import WorkerStream, looks_to_wire, to_wire

logger = logging.getLogger(__name__)


class Worker:
    """Recognises many streams with one engine.

    Args:
        engine: The compiled steps.
        tokenizer: The model's wordpieces.
        clock: Monotonic seconds.
    """

    def __init__(self, engine: SlotEngine, tokenizer: Tokenizer, clock: Callable[[], float]) -> None:
        self.engine, self.tokenizer, self.clock = engine, tokenizer, clock
        self.streams: dict[int, WorkerStream] = {}
        self._free = list(range(engine.slots))
        self.phrases = engine.phrases or PhraseLists(tokenizer, lists=0)

    @property
    def busy(self) -> bool:
        """Whether `work` has something to do."""
        return any(stream.ready for stream in self.streams.values())

    def handle(self, message: ToWorker) -> list[FromWorker]:
        """Take a message; what it brings at once."""
        if isinstance(message, Shutdown):
            return []
        if isinstance(message, Open):
            return self._open(message)
        stream = self.streams.get(message.stream)
        if stream is None:  # refused a moment ago: the server does not know yet
            return []
        if isinstance(message, Drop):
            self._forget(stream)
            return []
        try:
            stream.take_in(message, self.clock())
        except ValueError as error:
            return [self._refused(stream, str(error))]
        return self._ends(stream)

    def work(self) -> list[FromWorker]:
        """Compute one batch; what it brings."""
        ready = [ReadyChunk(s.number, s.chunk_ms, s.since) for s in self.streams.values() if s.ready]
        streams = [self.streams[chunk.stream] for chunk in next_batch(ready, self.engine.largest)]
        if not streams:
            return []
        taken = [stream.state.take() for stream in streams]
        arrived = [stream.arrived(stream.state.buffer.position) for stream in streams]
        started = self.clock()
        out = self.engine.step(
            streams[0].chunk_ms,
            [stream.slot for stream in streams],
            np.stack([samples for samples, _, _ in taken]),
            np.array([valid for _, valid, _ in taken], np.int32),
            np.array([fresh for _, _, fresh in taken]),
            np.array([stream.phrases for stream in streams], np.int32),
        )
        done = self.clock()
        answers: list[FromWorker] = []
        for row, stream in enumerate(streams):
            events = stream.state.accept({name: values[row] for name, values in out.items()})
            stream.since = done
            timing = (1000 * max(0.0, started - arrived[row]), 1000 * (done - started), len(streams))
            answers.append(self._recognised(stream, events, *timing, looks=looks_to_wire(stream.state.take_looks())))
            answers += self._ends(stream)
        return answers

    def _open(self, message: Open) -> list[FromWorker]:
        if message.stream in self.streams:
            self._forget(self.streams[message.stream])
        if not self._free:
            return [Refused(stream=message.stream, message="expected a free place, all are taken; try again later")]
        place = message.position, message.segment, message.segment_ms, message.begun_ms
        phrases = 0
        try:
            engine = self.engine.engine(message.chunk_ms)
            phrases = self.phrases.take(message.phrases)  # first: it bounds them
            state = StreamState(
                self.tokenizer,
                engine,
                message.silence_ms,
                *place,
                watched=message.attention,
                phrases=message.phrases,
                phrase_weight=self.phrases.weight,
            )
        except AsrError as error:
            if phrases:
                self.phrases.release(phrases)
            full = isinstance(error, PhraseListsFull)
            return [Refused(stream=message.stream, message=str(error), unsupported=not full)]
        stream = WorkerStream(message.stream, self._free.pop(), message.chunk_ms, state, phrases)
        self.streams[message.stream] = stream
        return []

    def _ends(self, stream: WorkerStream) -> list[FromWorker]:
        """Answers to flushes, and to the finish, whose audio is all recognised."""
        answers: list[FromWorker] = []
        while (ended := self._ended(stream, answers)) is not None:
            message, events = ended
            if events:
                answers.append(self._recognised(stream, events, 0.0, 0.0, 1))
            if isinstance(message, Finish):
                answers.append(Finished(stream=stream.number))
                self._forget(stream)
                break
            answers.append(Flushed(stream=stream.number, keep_from=stream.state.keep_from))
        return answers

    def _ended(self, stream: WorkerStream, answers: list[FromWorker]) -> tuple[ToWorker, list[Event]] | None:
        try:
            return stream.ended(self.clock())
        except ValueError as error:  # of audio that had waited for the flush
            answers.append(self._refused(stream, str(error)))
            return None

    def _recognised(
        self,
        stream: WorkerStream,
        events: list[Event],
        queue_ms: float,
        compute_ms: float,
        batch: int,
        looks: tuple[Look, ...] = (),
    ) -> Recognised:
        return Recognised(
            stream=stream.number,
            events=to_wire(events),
            position=stream.state.position,
            keep_from=stream.state.keep_from,
            segment_ms=stream.state.segment_ms,
            begun_ms=stream.state.begun_ms,
            queue_ms=queue_ms,
            compute_ms=compute_ms,
            batch=batch,
            looks=looks,
        )

    def _refused(self, stream: WorkerStream, message: str) -> Refused:
        logger.warning("stream %d refused", stream.number)  # the text may quote the peer's audio
        self._forget(stream)
        return Refused(stream=stream.number, message=message)

    def _forget(self, stream: WorkerStream) -> None:
        if self.streams.get(stream.number) is stream:
            del self.streams[stream.number]
            self._free.append(stream.slot)
            self.phrases.release(stream.phrases)
