"""Utterances through a recogniser as streams, with every event and what follows from it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from asr.features import SAMPLE_RATE
from asr.streaming.events import Event, Final, Partial
from asr.streaming.recognizer import Recognizer, Stream
from asr.transcript import Word
from data.audio import Samples, load_audio
from data.manifest import Utterance


@dataclass
class Heard:
    """What a recogniser said about an utterance, and when.

    Attributes:
        utterance: It.
        words: Recognised words.
        emitted_ms: Of each word, the audio that had been recognised when it was said for good.
        endpoints_ms: Of each segment that a pause ended: the audio recognised then, and where the next one begins.
    """

    utterance: Utterance
    words: list[Word] = field(default_factory=list)
    emitted_ms: list[int] = field(default_factory=list)
    endpoints_ms: list[tuple[int, int]] = field(default_factory=list)


def listen(
    recognizer: Recognizer,
    utterances: Sequence[Utterance],
    tail_ms: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    load: Callable[[Utterance], Samples] = lambda utterance: load_audio(utterance.audio),
) -> Iterator[Heard]:
    """Recognises utterances, as many at a time as the recogniser has streams.

    Args:
        recognizer: None of its streams in use.
        utterances: In any order.
        tail_ms: Digital silence after each.
        progress: Called with (done, total).
        load: Gives an utterance's samples.
    """
    ordered, rows = sorted(utterances, key=lambda u: u.seconds), recognizer.engine.rows
    for first in range(0, len(ordered), rows):
        part = ordered[first : first + rows]
        following = {}
        for utterance in part:
            stream = recognizer.stream()
            stream.push(np.concatenate([load(utterance), np.zeros(tail_ms * SAMPLE_RATE // 1000, np.float32)]))
            stream.state.finish()
            following[stream] = _Following(Heard(utterance))
        while any(stream.state.ready() for stream in following):
            for stream, events in recognizer.advance():
                following[stream].accept(stream, events)
        for stream, one in following.items():
            one.end(stream.finish_events())
            yield one.heard
        progress(first + len(part), len(ordered))


class _Following:
    """Collects the events of one stream."""

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self._since: list[tuple[str, int]] = []  # the open segment's words, and since when each is what it is

    def accept(self, stream: Stream, events: Sequence[Event]) -> None:
        """Takes a step's events; a final one among them is a pause's."""
        for event in events:
            if isinstance(event, Partial):
                self._note(event.text.split(), event.audio_ms)
            else:
                self._finish(event)
                self.heard.endpoints_ms.append((event.audio_ms, stream.state.segment_ms))

    def end(self, events: Sequence[Event]) -> None:
        """Takes the events of the stream's end."""
        for event in events:
            if isinstance(event, Final):
                self._finish(event)

    def _note(self, words: Sequence[str], audio_ms: int) -> None:
        same = [old if old[0] == word else (word, audio_ms) for word, old in zip(words, self._since, strict=False)]
        self._since = same + [(word, audio_ms) for word in words[len(same) :]]

    def _finish(self, event: Final) -> None:
        words = event.result.words
        self._note([word.word for word in words], event.audio_ms)
        self.heard.words += words
        self.heard.emitted_ms += [since for _, since in self._since[: len(words)]]
        self._since = []
