"""Many recordings through one recogniser: every step advances as many as it has rows, in bounded memory."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from asr.streaming.recognizer import Recognizer, Stream
from asr.transcript import Transcript

Key = TypeVar("Key")
Parts = Iterator[NDArray[np.float32]]


@dataclass
class _Running(Generic[Key]):
    """A recording on its way: where its samples come from, and its stream."""

    key: Key
    parts: Parts
    stream: Stream
    ended: bool = False

    def fill(self) -> None:
        """Reads until a chunk is ready or the recording ends."""
        while not self.ended and not self.stream.state.ready():
            part = next(self.parts, None)
            if part is None:
                self.ended = True
                self.stream.state.finish()
            else:
                self.stream.push(part)


def recognise_all(
    recognizer: Recognizer,
    sources: Iterable[tuple[Key, Callable[[], Parts]]],
    progress: Callable[[Key, int], None] = lambda key, audio_ms: None,
    phrases: Sequence[str] = (),
) -> Generator[tuple[Key, Transcript | ValueError], None, None]:
    """Recognises recordings, several at a time.

    Args:
        recognizer: None of its streams in use.
        sources: A key for each recording and what opens it: an iterator of its samples, [n] mono at 16 kHz.
        progress: Called with a recording's key and the audio recognised so far.
        phrases: Names and terms to favour in all of them.

    Yields:
        Each key with its transcript, or with the error that opening, reading or recognising it raised; in the order
        in which they end. An error in one recording leaves the others alone. Closed early, it frees all streams.
    """
    running: list[_Running[Key]] = []
    try:
        yield from _recognised(recognizer, iter(sources), running, progress, phrases)
    finally:
        for item in running:
            recognizer.release(item.stream)


def _recognised(
    recognizer: Recognizer,
    waiting: Iterator[tuple[Key, Callable[[], Parts]]],
    running: list[_Running[Key]],
    progress: Callable[[Key, int], None],
    phrases: Sequence[str],
) -> Iterator[tuple[Key, Transcript | ValueError]]:
    """As `recognise_all`; `running` holds the recordings whose streams are open."""
    rows, exhausted = recognizer.engine.rows, False
    while True:
        while len(running) < rows and not exhausted:
            source = next(waiting, None)
            if source is None:
                exhausted = True
                break
            key, opened = source
            stream = recognizer.stream(phrases)
            try:
                running.append(_Running(key, opened(), stream))
            except ValueError as error:
                recognizer.release(stream)
                yield key, error
        if not running:
            return
        yield from _fill(recognizer, running)
        recognizer.advance()
        for item in list(running):
            progress(item.key, item.stream.audio_ms)
            if item.ended and not item.stream.state.ready():
                running.remove(item)
                item.stream.finish_events()
                yield item.key, item.stream.transcript()


def _fill(recognizer: Recognizer, running: list[_Running[Key]]) -> Iterator[tuple[Key, ValueError]]:
    """Gives every recording its next chunk; those that cannot be read leave."""
    for item in list(running):
        try:
            item.fill()
        except ValueError as error:
            running.remove(item)
            recognizer.release(item.stream)
            yield item.key, error
