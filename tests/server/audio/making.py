"""Containers made of a known sound."""

import io
from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from server.audio import AudioDecoder

KINDS = {
    "webm opus": ("webm", "libopus", 48_000, {}),
    "ogg opus": ("ogg", "libopus", 48_000, {}),
    "ogg flac": ("ogg", "flac", 44_100, {}),
    "flac": ("flac", "flac", 44_100, {}),
    "mp3": ("mp3", "libmp3lame", 44_100, {}),
    "adts": ("adts", "aac", 44_100, {}),
    "fragmented mp4": ("mp4", "aac", 48_000, {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "wav": ("wav", "pcm_s16le", 22_050, {}),
}


class Stream:
    """A file that is only written, never sought in: what a recorder sends."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


def tone(seconds: float, rate: int) -> NDArray[np.float32]:
    """A chirp that fades in and out, [N]."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * (200 + 150 * time) * time) * np.sin(np.pi * time / seconds)).astype(np.float32)


def container(kind: str, seconds: float = 2.0, channels: int = 1, streamed: bool = True) -> bytes:
    form, codec, rate, options = KINDS[kind]
    layout = "mono" if channels == 1 else "stereo"
    file = Stream() if streamed else io.BytesIO()
    with av.open(file, "w", format=form, options=options) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        samples = tone(seconds, rate)
        for start in range(0, len(samples), 960):
            part = samples[start : start + 960]
            frame = av.AudioFrame.from_ndarray(np.stack([part] * channels), format="fltp", layout=layout)
            frame.sample_rate, frame.pts = rate, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return bytes(file.data if isinstance(file, Stream) else file.getvalue())


def cut(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def decode(decoder: AudioDecoder, data: bytes, size: int = 1_000) -> NDArray[np.float32]:
    """All samples at 16 kHz of data that comes in frames of this size."""
    try:
        return np.concatenate([*(decoder.decode(piece) for piece in cut(data, size)), decoder.finish()])
    finally:
        decoder.close()
