"""Recognition in Python: `Recognizer` holds a model and its compiled step, `Stream` one stream of audio.

Example:
    recognizer = Recognizer(chunk_ms=320)
    stream = recognizer.stream()
    for samples in microphone:
        for event in stream.accept(samples):
            print(event)
    print(stream.finish().text)
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from asr.decoding.phrases import PHRASE_WEIGHT
from asr.engine_kind import EngineKind, engine_kind
from asr.errors import AsrError
from asr.features import log_mel
from asr.language.fusion import make_search
from asr.model_folder import bundled_model, default_beam, load_model
from asr.streaming.attended import Attended, window_patterns
from asr.streaming.engines import make_engine
from asr.streaming.events import Event, Final
from asr.streaming.phrase_lists import PhraseLists
from asr.streaming.stream import StreamState
from asr.transcript import Segment, Transcript

OFFLINE_MS = 15_360  # an "offline" chunk: as long as the longest recordings of training, so that it sees like context


class Recognizer:
    """A model ready to recognise up to `streams` streams at a time.

    Args:
        model: A model folder; None: the bundled model.
        chunk_ms: Audio per step: 160, 320, or a multiple of 640. Larger is more accurate, smaller is sooner.
        streams: Streams at a time; each step advances all that have a chunk.
        silence_ms: Silence after a word that ends a segment, and with it what the model remembers; 0: only the
            stream's end does.
        mode: How the step runs: see `Engine`.
        beam: Hypotheses of the search; 1: greedy; 0: the phonetic search; None: as the model folder says, else greedy.
        lm_weight: Of the model folder's language model in a beam search; None: as stored with it; 0: it is not used.
        ilm_weight: Of the transducer's own expectation, which is subtracted; None: as stored.
        phrase_weight: Bonus of each wordpiece of the streams' phrases, in nats.
        engine: What computes the steps: "xla", "litert", "litert-int8" or "auto" (see `EngineKind`). Not "auto" unless
            asked for: a program's words should not depend on what else is installed.

    Raises:
        AsrError: for a chunk size, a beam, a weight or an engine that is not served.
        CheckpointError: if the model cannot be read.
    """

    def __init__(
        self,
        model: Path | str | None = None,
        chunk_ms: int = 640,
        streams: int = 1,
        silence_ms: int = 800,
        mode: str = "compiled",
        beam: int | None = None,
        lm_weight: float | None = None,
        ilm_weight: float | None = None,
        phrase_weight: float = PHRASE_WEIGHT,
        engine: str = EngineKind.xla,
    ) -> None:
        """Loads the model. The first step compiles it: `warm_up` does that ahead."""
        if streams < 1:
            raise AsrError(f"streams: expected 1 or more, got {streams}")
        if silence_ms < 0:
            raise AsrError(f"silence_ms: expected 0 or more, got {silence_ms}")
        folder = Path(model) if model is not None else bundled_model()
        self.transducer, self.tokenizer = load_model(folder)
        self.chunk_ms, self.silence_ms = chunk_ms, silence_ms
        beam = default_beam(folder) if beam is None else beam
        search = make_search(folder, self.transducer, self.tokenizer, beam, lm_weight, ilm_weight)
        self.phrase_weight = phrase_weight
        self._phrases = PhraseLists(self.tokenizer, 0, phrase_weight, search.phrase_words if search else None)
        self.engine = make_engine(engine_kind(engine), self.transducer, chunk_ms, streams, mode, search)
        self._state = self.engine.initial_state()
        self._rows: list[Stream | None] = [None] * streams

    def warm_up(self) -> None:
        """Compiles the step; no stream's state changes."""
        rows = len(self._rows)
        samples = np.zeros((rows, self.engine.samples), np.float32)
        self._state, _ = self.engine.step(self._state, samples, np.zeros(rows, np.int32), np.zeros(rows, bool))

    def stream(self, phrases: Sequence[str] = ()) -> "Stream":
        """Opens a stream.

        Args:
            phrases: Names and terms to favour. The first stream with some makes the next step compile again.

        Raises:
            AsrError: if all streams are in use, or a phrase cannot be said.
        """
        if isinstance(phrases, str):  # a sequence of texts, too: its letters
            raise AsrError(f"phrases: expected a list of phrases, got the text {phrases!r}")
        for row, taken in enumerate(self._rows):
            if taken is None:
                place = self._take(phrases)  # first: it bounds them
                try:
                    stream = self._rows[row] = Stream(self, row, place, phrases)
                except AsrError:
                    self._phrases.release(place)
                    raise
                return stream
        raise AsrError(f"expected at most {len(self._rows)} streams at a time; close one, or ask for more")

    def _take(self, phrases: Sequence[str]) -> int:
        if phrases and not self._phrases.lists:
            none = self._phrases
            self._phrases = PhraseLists(none.tokenizer, len(self._rows), none.weight, none.words)
        return self._phrases.take(phrases)

    def advance(self) -> list[tuple["Stream", list[Event]]]:
        """Runs one step for every stream that has a chunk ready; returns their events."""
        engine, rows = self.engine, [s for s in self._rows if s is not None and s.state.ready()]
        if not rows:
            return []
        samples = np.zeros((len(self._rows), engine.samples), np.float32)
        valid, reset = np.zeros(len(self._rows), np.int32), np.zeros(len(self._rows), bool)
        lists = np.zeros(len(self._rows), np.int32)
        for stream in rows:
            samples[stream.row], valid[stream.row], reset[stream.row] = stream.state.take()
            lists[stream.row] = stream.phrases
        tables = self._phrases.tables if self._phrases.lists else None
        self._state, out = engine.step(self._state, samples, valid, reset, phrases=tables, lists=lists)
        results = []
        for stream in rows:
            stream.keep(stream.state.accept({name: values[stream.row] for name, values in out.items()}))
            results.append((stream, stream.take_events()))
        return results

    def follows(self, stream: "Stream") -> bool:
        """Whether a stream has a place: it was not released."""
        return self._rows[stream.row] is stream

    def release(self, stream: "Stream") -> None:
        """Frees a stream's place. A stream that was released already is left alone."""
        if self.follows(stream):
            self._rows[stream.row] = None
            self._phrases.release(stream.phrases)

    def attend(self, samples: NDArray[np.float32]) -> Attended:
        """Recognises a recording and tells where the model looked.

        The words are those of `transcribe`; with a beam, of the hypothesis that was the best in the end.

        Args:
            samples: [n] mono float at 16 kHz.

        Raises:
            AsrError: if all streams are in use.
        """
        with self.stream() as stream:
            stream.state = StreamState(self.tokenizer, self.engine, self.silence_ms, watched=True)
            stream.accept(samples)
            transcript = stream.finish()
            looks = stream.state.take_looks()
        patterns = window_patterns(self.transducer.encoder, samples, self.engine.frames)
        return Attended(log_mel(samples), transcript, tuple(looks), patterns)

    def transcribe(
        self, samples: NDArray[np.float32] | Iterable[NDArray[np.float32]], phrases: Sequence[str] = ()
    ) -> Transcript:
        """Recognises a whole recording: [n] mono float at 16 kHz, or an iterable of its parts; phrases as `stream`."""
        parts: Iterable[NDArray[np.float32]] = [samples] if isinstance(samples, np.ndarray) else samples
        with self.stream(phrases) as stream:
            for part in parts:
                stream.accept(part)
            return stream.finish()


class Stream(AbstractContextManager["Stream"]):
    """One stream of audio: samples in, events out. Made by `Recognizer.stream`."""

    def __init__(self, recognizer: Recognizer, row: int, place: int = 0, phrases: Sequence[str] = ()) -> None:
        """Starts with no audio; `place` is that of the list of phrases that the step follows."""
        self.row, self.phrases = row, place
        engine, weight = recognizer.engine, recognizer.phrase_weight
        self.state = StreamState(
            recognizer.tokenizer, engine, recognizer.silence_ms, phrases=phrases, phrase_weight=weight
        )
        self.segments: list[Segment] = []  # finished, for the transcript
        self.pending: list[Event] = []  # events that another stream's call brought about
        self._recognizer = recognizer

    @property
    def audio_ms(self) -> int:
        """Audio recognised so far."""
        return self.state.audio_ms

    def push(self, samples: NDArray[np.float32]) -> None:
        """Adds samples without recognising them yet: see `Recognizer.advance`. Raises as `accept` does."""
        self.state.push(samples)

    def accept(self, samples: NDArray[np.float32]) -> list[Event]:
        """Adds samples and recognises every chunk they complete.

        Args:
            samples: [n] mono float at 16 kHz, full scale 1; any number.

        Returns:
            This stream's events. Other streams with a chunk ready advance too; theirs are kept for their next call.

        Raises:
            AsrError: if the samples are not mono, floating-point and finite, or after `finish`.
        """
        self.push(samples)
        return self._drain()

    def finish(self) -> Transcript:
        """Recognises what is left and ends the stream; its place is free again."""
        for _ in self.finish_events():
            pass
        return self.transcript()

    def finish_events(self) -> list[Event]:
        """As `finish`, returning the last events."""
        self.state.finish()
        events = self.flush()
        self._recognizer.release(self)
        return events

    def flush(self) -> list[Event]:
        """Recognises what is left and ends the segment; the stream goes on. Returns its events."""
        self.state.flush()
        events = self._drain()
        self.keep(self.state.end_segment())
        return events + self.take_events()

    def transcript(self) -> Transcript:
        """The finished segments."""
        return Transcript(tuple(self.segments), self.state.received_ms)

    def keep(self, events: list[Event]) -> None:
        """Adds events to those to be returned, and segments to the transcript."""
        self.pending += events
        self.segments += [event.result for event in events if isinstance(event, Final)]

    def take_events(self) -> list[Event]:
        """Events that were not returned yet."""
        events, self.pending = self.pending, []
        return events

    def _drain(self) -> list[Event]:
        events = self.take_events()
        while self.state.ready():
            if not self._recognizer.follows(self):
                raise AsrError("expected an open stream, this one was closed before all was recognised")
            for stream, found in self._recognizer.advance():
                (events if stream is self else stream.pending).extend(found)
        return events

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Frees the stream's place."""
        self._recognizer.release(self)
