"""One stream's buffer and words: no tensors, no model."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.decoding.words import Label, words_of
from asr.errors import AsrError
from asr.features import SAMPLE_RATE
from asr.streaming.engine import FRAME_MS, FRAME_SAMPLES
from asr.streaming.events import Event, Final, Partial
from asr.tokenizer import Tokenizer
from asr.transcript import Segment, Transcript, segment_of


class StreamBuffer:
    """Samples waiting to be recognised, cut into chunks.

    Args:
        chunk_samples: Samples of a chunk.
        block_samples: Samples of a block; the end of a stream is filled up to one with silence.
    """

    def __init__(self, chunk_samples: int, block_samples: int) -> None:
        """Starts empty."""
        self.chunk_samples, self.block_samples = chunk_samples, block_samples
        self.received = 0
        self.finished = False
        self._parts: list[NDArray[np.float32]] = []
        self._waiting = 0

    def push(self, samples: NDArray[np.float32]) -> None:
        """Adds samples, [n] mono at 16 kHz.

        Raises:
            AsrError: for another shape or dtype, samples that are not finite, or a stream that was finished.
        """
        samples = np.asarray(samples)
        if samples.ndim != 1 or samples.dtype.kind != "f":
            got = f"{samples.dtype} of shape {list(samples.shape)}"
            raise AsrError(f"expected mono floating-point samples of shape [n], got {got}")
        if not np.isfinite(samples).all():
            bad = int(np.flatnonzero(~np.isfinite(samples))[0]) + self.received
            raise AsrError(f"expected finite samples, got NaN or infinity at {bad / SAMPLE_RATE:.3f} s")
        if self.finished:
            raise AsrError("expected no samples after the stream was finished")
        self.received += len(samples)
        self._waiting += len(samples)
        self._parts.append(samples.astype(np.float32))

    def ready(self) -> bool:
        """Whether a chunk can be taken."""
        return self._waiting >= self.chunk_samples or (self.finished and self._waiting > 0)

    def take(self) -> tuple[NDArray[np.float32], int]:
        """The next chunk, [chunk_samples], zeros past the end, and how many encoder frames of it to use."""
        # A long recording given in one piece is not copied for every chunk.
        joined = self._parts[0] if len(self._parts) == 1 else np.concatenate(self._parts)
        chunk, rest = joined[: self.chunk_samples], joined[self.chunk_samples :]
        self._parts, self._waiting = [rest], len(rest)
        blocks = -(-len(chunk) // self.block_samples)
        padded = np.zeros(self.chunk_samples, np.float32)
        padded[: len(chunk)] = chunk
        return padded, blocks * self.block_samples // FRAME_SAMPLES


class StreamWords:
    """Labels of a stream as events and, at the end, as a transcript.

    Args:
        tokenizer: Wordpieces.
        silence_ms: Silence after a word that ends a segment; 0: only the stream's end does.
    """

    def __init__(self, tokenizer: Tokenizer, silence_ms: int) -> None:
        """Starts with no words."""
        self.tokenizer, self.silence_ms = tokenizer, silence_ms
        self.segments: list[Segment] = []
        self._labels: list[Label] = []
        self._last_ms = 0  # start of the latest frame that a label attended to
        self._last_text = ""

    def accept(self, out: Mapping[str, NDArray[Any]], start_ms: int, audio_ms: int) -> list[Event]:
        """Adds the labels of one chunk.

        Args:
            out: One row of the engine's outputs: labels [blocks, M] (-1: none), log_probs and frames, the same shape.
            start_ms: Start of the chunk.
            audio_ms: Audio recognised with this chunk.

        Returns:
            A `Partial` if the text changed, a `Final` if a pause ended the segment.
        """
        columns = (out[name].ravel() for name in ("labels", "log_probs", "frames"))
        for piece, log_prob, frame in zip(*columns, strict=True):
            if piece >= 0:
                place = max(0, start_ms + int(frame) * FRAME_MS)
                self._labels.append(Label(int(piece), place, float(log_prob)))
                self._last_ms = max(self._last_ms, place)
        if self._labels and self.silence_ms and audio_ms - self._last_ms >= self.silence_ms + FRAME_MS:
            return self.finish(audio_ms)
        text = self.tokenizer.decode([label.piece for label in self._labels])
        if text == self._last_text:
            return []
        self._last_text = text
        return [Partial(len(self.segments), text, text.rfind(" ") + 1, audio_ms)]

    def finish(self, audio_ms: int) -> list[Event]:
        """Ends the segment: a `Final` if it has words."""
        earliest_ms = self.segments[-1].end_ms if self.segments else 0
        words = words_of(self._labels, self.tokenizer, FRAME_MS, earliest_ms, audio_ms)
        self._labels, self._last_text = [], ""
        if not words:
            return []
        self.segments.append(segment_of(words))
        return [Final(len(self.segments) - 1, self.segments[-1], audio_ms)]

    def transcript(self, duration_ms: int) -> Transcript:
        """All finished segments."""
        return Transcript(tuple(self.segments), duration_ms)
