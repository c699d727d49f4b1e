"""One stream's state outside the compiled step: its samples, its words, and where its segments begin.

After each segment, and after some seconds without words, another begins at a quiet place in the pause. Either the
compiled step's state starts anew there and hears the audio again; or, if the search can (`Hypotheses.goes_on`), only
the search does, and the encoder, whose memory is bounded, goes on. In both cases a segment's words depend on no audio
before `keep_from`: what came before is never needed again, whatever happens to the process that recognises.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.encoder.reach import reach_frames, whole_chunks
from asr.features import SAMPLE_RATE
from asr.streaming.buffer import StreamBuffer
from asr.streaming.engine import FRAME_MS, FRAME_SAMPLES
from asr.streaming.engines import AnyEngine
from asr.streaming.events import Event
from asr.streaming.looks import BlockLook, Looks
from asr.streaming.words import StreamWords
from asr.tokenizer import Tokenizer

LONGEST_REACH_MS = 60_000  # an encoder that depends on more starts anew with each segment: else too much audio is kept


class StreamState:
    """A stream between steps: chunks out, rows of the engine's outputs in.

    Args:
        tokenizer: Wordpieces.
        engine: What recognises it: its chunk and block are the stream's.
        silence_ms: Silence after a word that ends a segment; 0: only the stream's end does.
        position: Sample of the session at which the stream begins: `keep_from` of another process that left it.
        segment: Number of its first segment.
        segment_ms: And that process's `segment_ms`.
        begun_ms: And its `begun_ms`.
        watched: Whether it is kept where the model looked.
        phrases: Names and terms that a search outside the step favours.
        phrase_weight: Bonus of each wordpiece of them, in nats.

    Attributes:
        keep_from: Sample from which on audio is needed to recognise the open segment again.
        segment_ms: Session time at which the open segment begins.
        begun_ms: Audio that had been recognised when it was known to begin.

    Raises:
        AsrError: if such a search cannot follow a phrase.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        engine: AnyEngine,
        silence_ms: int,
        position: int = 0,
        segment: int = 0,
        segment_ms: int = 0,
        begun_ms: int = 0,
        watched: bool = False,
        phrases: Sequence[str] = (),
        phrase_weight: float = 0.0,
    ) -> None:
        """Starts with no audio."""
        self._frames, self._used = engine.frames, 0
        self._looks = Looks(tokenizer.texts, engine.block) if watched else None
        block_samples = engine.block * FRAME_SAMPLES
        self.buffer = StreamBuffer(engine.chunk_samples, block_samples, position, engine.ahead_samples)
        self._hypotheses = engine.search.hypotheses(FRAME_MS, phrases, phrase_weight)
        config, rule = engine.model.config, engine.search.word_rule
        self._ring = whole_chunks(config.left_frames, engine.frames) * FRAME_SAMPLES
        self._reach = reach_frames(config, engine.frames) * FRAME_SAMPLES
        self._goes_on = self._hypotheses.goes_on and _ms(self._reach) <= LONGEST_REACH_MS
        self._heard_ms = self._start_ms = _ms(position)
        self.segment_ms, self.begun_ms = max(self._heard_ms, segment_ms), max(self._heard_ms, begun_ms)
        self.words = StreamWords(
            tokenizer, silence_ms, self.segment_ms, segment, rule, self._heard, self._hypotheses, self.begun_ms
        )
        self.keep_from = self._fresh_from = position
        self._fresh = True

    @property
    def position(self) -> int:
        """Samples recognised so far."""
        return max(self.buffer.position, self._heard_ms * SAMPLE_RATE // 1000)

    @property
    def audio_ms(self) -> int:
        """Audio recognised so far."""
        return self._heard_ms

    @property
    def received_ms(self) -> int:
        """Audio received so far."""
        return _ms(self.buffer.received)

    def push(self, samples: NDArray[np.float32]) -> None:
        """Adds samples; raises as `StreamBuffer.push` does."""
        self.buffer.push(samples)

    def ready(self) -> bool:
        """Whether a chunk can be taken."""
        return self.buffer.ready()

    def take(self) -> tuple[NDArray[np.float32], int, bool]:
        """The next chunk, its encoder frames to use, and whether the step's state starts anew with it."""
        fresh, self._fresh = self._fresh, False
        self._start_ms = _ms(self.buffer.position)
        samples, valid = self.buffer.take()
        self._used = min(valid, self._frames)
        return samples, valid, fresh

    def accept(self, row: Mapping[str, NDArray[Any]]) -> list[Event]:
        """Adds what the step gave for the chunk that was taken: one row of the engine's outputs.

        Returns:
            Events, whose `audio_ms` never goes back.
        """
        now_ms = _ms(self.buffer.position)
        self._heard_ms = max(self._heard_ms, now_ms)
        if self._looks is not None:
            self._looks.accept(row, self._start_ms, self._used)
        events, next_ms = self.words.accept(row, self._start_ms, now_ms)
        if next_ms is not None and self._goes_on:
            self._go_on(next_ms, now_ms)
        elif next_ms is not None:
            self._restart(next_ms * SAMPLE_RATE // 1000)
        self.buffer.forget(self.words.needed_ms * SAMPLE_RATE // 1000)
        return [self._timed(event) for event in events]

    def take_looks(self) -> list[BlockLook]:
        """Where the model looked since the last call: see `Looks.take`; a restart reads some blocks again."""
        return [] if self._looks is None else self._looks.take()

    def flush(self) -> None:
        """What came so far is to be recognised, even if it fills no chunk: take it all, then `end_segment`."""
        self.buffer.flushing = True

    def finish(self) -> None:
        """As `flush`, and nothing more will come."""
        self.buffer.finished = True

    def end_segment(self) -> list[Event]:
        """After the last chunk of a flush or of the stream: ends the segment; recognition starts anew."""
        events = [self._timed(event) for event in self.words.finish(self._heard_ms)]
        self.buffer.flushing = False
        self._restart(self.buffer.position)
        return events

    def _heard(self, start_ms: int, end_ms: int) -> NDArray[np.float32]:
        return self.buffer.heard(*(ms * SAMPLE_RATE // 1000 for ms in (start_ms, end_ms)))

    def _go_on(self, segment_ms: int, now_ms: int) -> None:
        """A segment begins, and the encoder goes on.

        One that starts anew by its reach before, and by whole rings after it did here, will say the same, bit by bit.
        """
        self.segment_ms, self.begun_ms = segment_ms, now_ms
        rings = (segment_ms * SAMPLE_RATE // 1000 - self._reach - self._fresh_from) // self._ring
        self.keep_from = self._fresh_from + max(0, rings) * self._ring

    def _restart(self, position: int) -> None:
        self.buffer.rewind(position)
        self._hypotheses.forget(math.inf)
        self._fresh, self.keep_from, self._fresh_from = True, position, position
        self.segment_ms = self.begun_ms = _ms(position)
        if self._looks is not None:
            self._looks.restart()

    def _timed(self, event: Event) -> Event:
        return dataclasses.replace(event, audio_ms=self._heard_ms)


def _ms(samples: int) -> int:
    return 1000 * samples // SAMPLE_RATE
