"""FFmpeg, through PyAV: a file that only grows, to 16 kHz mono."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soxr
from numpy.typing import NDArray

from server.audio.errors import AudioError
from server.audio.pipe import Pipe
from server.audio.samples import TARGET_RATE, no_sound, sound_length

MOST_GAP_SECONDS = Fraction(1, 1000)  # by which roundings of a container's clock differ
MIN_RATE, MAX_RATE = 4_000, 192_000  # Hz
OPTIONS = {
    # What a peer may have FFmpeg read: no playlist formats, which name other files and addresses to open.
    "format_whitelist": "ogg,matroska,webm,flac,mp3,aac,wav,mov,mp4,m4a",
    "codec_whitelist": "opus,vorbis,flac,mp3,mp3float,aac,alac,pcm_s16le,pcm_s24le,pcm_f32le,pcm_mulaw,pcm_alaw",
    "protocol_whitelist": "none",
    "probesize": "65536",  # bytes at most before audio comes out
    "analyzeduration": "500000",  # µs at most
    "err_detect": "crccheck+bitstream+buffer+explode",
}

Samples = NDArray[np.float32]


def decode_stream(pipe: Pipe) -> Iterator[Samples]:
    """Decodes the first audio stream.

    Yields:
        [N] at 16 kHz, channels averaged.

    Raises:
        AudioError: if this is no container with audio that can be read as it comes, or it is damaged.
    """
    seconds = 0.0
    try:
        with av.open(pipe, "r", options=OPTIONS, metadata_errors="replace") as container:
            convert, gaps = _Converter(_audio_stream(container)), _Gaps(container.streams.audio[0])
            try:
                for packet in container.demux(container.streams.audio[0]):
                    # A WAV that is written as it is spoken ends before the length that its header promises.
                    if packet.is_corrupt and container.format.name != "wav":
                        raise AudioError(f"the audio is damaged or breaks off after {seconds:.2f} s")
                    for frame in packet.decode():
                        gaps.check(frame)
                        for samples in convert(frame):
                            seconds += len(samples) / TARGET_RATE
                            yield samples
            except (AudioError, av.FFmpegError):
                yield from convert.rest()
                raise
            yield from convert(None)
    except av.FFmpegError as error:
        if pipe.closed:
            return
        known = "Ogg, WebM, FLAC, MP3, MP4 (with its index first), ADTS or WAV"
        if seconds == 0.0:
            raise AudioError(f"expected {known} with audio, got something else ({error.strerror})") from error
        raise AudioError(f"the audio is damaged or breaks off after {seconds:.2f} s ({error.strerror})") from error


def _audio_stream(container: Any) -> Any:
    if not container.streams.audio:
        raise AudioError(f"expected a container with audio, got {container.format.name} without")
    stream = container.streams.audio[0]
    if stream.codec_context is None or not stream.rate:
        raise AudioError(f"expected audio of a known coding, got {container.format.name} of another")
    if not MIN_RATE <= stream.rate <= MAX_RATE:
        raise AudioError(f"expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, got {stream.rate}")
    return stream


class _Gaps:
    """Finds the frames that FFmpeg left out without a word because they were damaged.

    Args:
        stream: Whose frames; of FLAC, whose frames follow each other without pause. Other codings may pause.
    """

    def __init__(self, stream: Any) -> None:
        self._checked = stream.codec_context.name == "flac"
        self._offset: Fraction | None = None  # seconds at which the first sample stands
        self._samples = 0

    def check(self, frame: Any) -> None:
        if self._checked and frame.pts is not None:
            here = frame.pts * frame.time_base - Fraction(self._samples, frame.sample_rate)
            self._offset = here if self._offset is None else self._offset
            if abs(here - self._offset) > MOST_GAP_SECONDS:
                raise AudioError(f"the audio is damaged after {self._samples / frame.sample_rate:.2f} s")
        self._samples += frame.samples


class _Converter:
    """Frames of any sample format and layout to 16 kHz mono.

    Args:
        stream: Whose frames; one of another rate (recordings joined end to end) is converted.
    """

    def __init__(self, stream: Any) -> None:
        self._rate = stream.rate
        self._form: tuple[str, str, int] | None = None
        self._planar: Any = None
        self._resampler = (
            None if self._rate == TARGET_RATE else soxr.ResampleStream(self._rate, TARGET_RATE, 1, dtype="float32")
        )
        self._received = self._returned = 0

    def __call__(self, frame: Any) -> Iterator[Samples]:
        """Converts a frame; None is the end."""
        if frame is None:
            yield from self._flush()
            yield from self.rest()
            return
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            yield from self._flush()
            self._form, self._planar = form, av.AudioResampler("fltp", None, self._rate)
        yield from self._mono(frame)

    def _flush(self) -> Iterator[Samples]:
        if self._planar is not None:
            yield from self._mono(None)

    def _mono(self, frame: Any) -> Iterator[Samples]:
        for planar in self._planar.resample(frame):
            mono = planar.to_ndarray().astype(np.float32).mean(axis=0)  # [channels, N] → [N]
            sound = mono[: sound_length(mono)]
            self._received += len(sound)
            if self._resampler is not None:
                converted = np.asarray(self._resampler.resample_chunk(np.ascontiguousarray(sound)), np.float32)
            else:
                converted = sound
            self._returned += len(converted)
            yield converted
            if len(sound) < len(mono):
                raise no_sound(mono[len(sound)], self._received / self._rate)

    def rest(self) -> Iterator[Samples]:
        """The resampler's, so that n samples have become round(n · 16000 / rate) in all."""
        if self._resampler is not None:
            rest = np.asarray(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True), np.float32)
            missing = max(0, round(self._received * TARGET_RATE / self._rate) - self._returned)
            yield np.pad(rest[:missing], (0, max(0, missing - len(rest))))
