"""Recordings as the websocket frames that a stream sends, made before anything is measured."""

from dataclasses import dataclass
from itertools import accumulate

from websockets.frames import Frame, Opcode

from client.audio_file import open_audio
from client.bench.references import Recording
from server.wire import Encoding
from server.wire.pcm import BYTES_PER_SAMPLE


@dataclass(frozen=True)
class Loaded:
    """A recording in memory, so that neither reading files nor writing frames is part of what is measured.

    Attributes:
        name: Of the file.
        frames: Whole websocket frames, a microphone's block of 100 ms in each. All streams send the same bytes: RFC
            6455's masking keys protect proxies from what a web page sends, not recordings from being repeated.
        ends_ms: Audio up to the end of each frame, in milliseconds.
        sample_rate: Hertz.
        encoding: Of the frames.
        reference: What is said in it; None if not known.
    """

    name: str
    frames: tuple[bytes, ...]
    ends_ms: tuple[float, ...]
    sample_rate: int
    encoding: Encoding
    reference: str | None

    @property
    def seconds(self) -> float:
        """Length."""
        return self.ends_ms[-1] / 1000


def load(recording: Recording) -> Loaded:
    """Reads a recording.

    Raises:
        AudioFileError: if it cannot be decoded here, or holds no audio.
    """
    source = open_audio(recording.path, decode=True)
    assert source.sample_rate is not None
    blocks = tuple(source.blocks())
    per_ms = source.sample_rate * BYTES_PER_SAMPLE[source.encoding] / 1000
    return Loaded(
        name=recording.path.name,
        frames=tuple(Frame(Opcode.BINARY, block).serialize(mask=True) for block in blocks),
        ends_ms=tuple(size / per_ms for size in accumulate(map(len, blocks))),
        sample_rate=source.sample_rate,
        encoding=source.encoding,
        reference=recording.reference,
    )
