"""Audio that FFmpeg reads, through PyAV: WebM, MP4, MP3 and whatever libsndfile does not know."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.audio.errors import AudioError
from asr.audio.info import AudioInfo
from asr.audio.structure import declared_mp3_frames

DECLARING = ("matroska", "mov", "asf")  # formats whose header holds the length; of others FFmpeg estimates it
SLACK_SECONDS = 0.25  # by which a declared length may exceed the last packet's end: rounding, delays of codecs

Samples = NDArray[np.float32]


def probe_container(path: Path) -> AudioInfo:
    """Reads the header.

    Raises:
        AudioError: if FFmpeg does not know the format or its coding, or there is no audio in it.
    """
    av = _import_av(path)
    try:
        with av.open(str(path)) as container:
            stream = _audio_stream(path, container)
            seconds = (container.duration or 0) / av.time_base
            name = f"{container.format.name} {stream.codec_context.name}"
            if not stream.rate:
                raise AudioError(f"{path}: expected an audio file, got {name} without a sample rate")
            return AudioInfo(seconds, stream.rate, stream.codec_context.channels, name)
    except av.FFmpegError as error:
        raise AudioError(f"{path}: expected an audio file, got something else ({error.strerror})") from error


def decode_container(path: Path) -> Iterator[Samples]:
    """Decodes the first audio stream.

    Yields:
        [n, channels] float32 at the rate that `probe_container` tells; n up to a packet's length.

    Raises:
        AudioError: as `probe_container`, and for damaged data or a file that breaks off.
    """
    av = _import_av(path)
    try:
        with av.open(str(path)) as container:
            stream = _audio_stream(path, container)
            planar = _Planar(av, stream.rate)
            end, packets = Fraction(0), 0
            for packet in container.demux():  # all streams: the length in the header is that of the longest
                if packet.pts is not None:
                    end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream.index != stream.index:
                    continue
                if packet.is_corrupt:
                    raise AudioError(f"{path}: damaged or broken off at {float(end):.2f} s")
                packets += packet.size > 0
                for frame in packet.decode():
                    yield from planar.convert(frame)
            yield from planar.flush()
            _check_length(path, container, end, packets)
    except av.FFmpegError as error:
        raise AudioError(f"{path}: damaged or broken off after {float(end):.2f} s ({error.strerror})") from error


class _Planar:
    """Frames of any sample format and layout as [n, channels] float32.

    Args:
        av: The PyAV module.
        rate: Samples per second to yield; a frame of another rate (files joined end to end) is converted.
    """

    def __init__(self, av: Any, rate: int) -> None:
        self._av, self._rate = av, rate
        self._form: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def convert(self, frame: Any) -> Iterator[Samples]:
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            yield from self.flush()
            self._form, self._resampler = form, self._av.AudioResampler("fltp", None, self._rate)
        yield from self._arrays(frame)

    def flush(self) -> Iterator[Samples]:
        if self._resampler is not None:
            yield from self._arrays(None)

    def _arrays(self, frame: Any) -> Iterator[Samples]:
        for plane in self._resampler.resample(frame):
            yield np.ascontiguousarray(plane.to_ndarray().T, np.float32)  # [channels, n] → [n, channels]


def _check_length(path: Path, container: Any, end: Fraction, packets: int) -> None:
    name = container.format.name
    if name == "mp3":
        declared = declared_mp3_frames(path)
        if declared is not None and packets < declared - 1:  # some writers count the tag's own frame
            raise AudioError(f"{path}: breaks off: expected {declared} MPEG frames, got {packets}")
    elif name.startswith(DECLARING) and container.duration:
        expected = container.duration / 1_000_000  # microseconds
        if end < expected - SLACK_SECONDS:
            raise AudioError(f"{path}: breaks off: expected {expected:.2f} s of audio, got {float(end):.2f} s")


def _audio_stream(path: Path, container: Any) -> Any:
    name = container.format.name
    if not container.streams.audio:
        raise AudioError(f"{path}: expected an audio file, got {name} without audio")
    stream = container.streams.audio[0]
    if stream.codec_context is None:
        raise AudioError(f"{path}: expected audio of a known coding, got {name} of another")
    return stream


def _import_av(path: Path) -> Any:
    try:
        import av  # not in the base install
    except ImportError as error:
        raise AudioError(f"{path}: PyAV is needed for this kind of file: pip install av") from error
    return av
