"""Audio files as blocks of 16 kHz mono samples, in bounded memory.

libsndfile reads WAV (any width, float, µ-law, A-law), FLAC, Ogg (Vorbis, Opus) and MP3; FFmpeg, through PyAV, the rest
(WebM, MP4, …). A file that breaks off inside is an error: what was read until then is yielded first, and nothing is
passed over.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr.audio.errors import AudioError
from asr.audio.resample import MAX_RATE, MIN_RATE, TARGET_RATE, StreamResampler

READ_FRAMES = 65_536  # source frames read at a time: memory stays below a few megabytes

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class AudioInfo:
    """What a file's header says.

    Attributes:
        seconds: Length; 0 where the header does not say.
        rate: Samples per second.
        channels: Number of channels.
        format: Container and coding, as the decoder names them.
    """

    seconds: float
    rate: int
    channels: int
    format: str


def probe(path: Path | str) -> AudioInfo:
    """Reads a file's header.

    Raises:
        AudioError: if the file is missing, empty, not readable or no audio.
    """
    path = Path(path)
    _check_file(path)
    try:
        info = soundfile.info(str(path))
        return AudioInfo(info.frames / info.samplerate, info.samplerate, info.channels, f"{info.format} {info.subtype}")
    except soundfile.LibsndfileError:
        return _probe_container(path)


def _probe_container(path: Path) -> AudioInfo:
    import av

    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise AudioError(f"{path}: expected an audio file, got a {container.format.name} file without audio")
            stream = container.streams.audio[0]
            seconds = (container.duration or 0) / av.time_base
            name = f"{container.format.name} {stream.codec_context.name}"
            return AudioInfo(seconds, stream.rate, stream.codec_context.channels, name)
    except av.error.FFmpegError as error:
        raise AudioError(f"{path}: expected an audio file, got something else ({error.strerror})") from error


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise AudioError(f"{path}: expected an audio file, got a folder")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise AudioError(f"{path}: {error.strerror}") from error
    if empty:
        raise AudioError(f"{path}: expected an audio file, got an empty file")


def read_blocks(path: Path | str, block_samples: int = TARGET_RATE) -> Iterator[Samples]:
    """A file's audio as 16 kHz mono, in blocks.

    Args:
        path: Any audio file.
        block_samples: Samples of each block but the last.

    Yields:
        [n] float32, n = `block_samples` or, at the end, fewer but not 0.

    Raises:
        AudioError: if the file is missing, empty, no audio, has no samples, breaks off, or holds NaN or infinity
            (naming the second).
    """
    path = Path(path)
    if block_samples < 1:
        raise AudioError(f"expected blocks of 1 sample or more, got {block_samples}")
    info = probe(path)
    if not MIN_RATE <= info.rate <= MAX_RATE:
        raise AudioError(f"{path}: expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, got {info.rate}")
    resampler = StreamResampler(info.rate)
    waiting: list[Samples] = []
    count = total = 0
    for part in _resampled(path, info, resampler):
        waiting.append(part)
        count += len(part)
        if count >= block_samples:
            joined = np.concatenate(waiting)
            whole = count - count % block_samples
            for start in range(0, whole, block_samples):
                yield joined[start : start + block_samples]
            waiting, count, total = [joined[whole:]], count - whole, total + whole
    if count:
        yield np.concatenate(waiting)
    elif not total:
        raise AudioError(f"{path}: expected audio, got a file of 0 samples")


def _resampled(path: Path, info: AudioInfo, resampler: StreamResampler) -> Iterator[Samples]:
    read = 0
    for part in _decoded(path):
        if not np.isfinite(part).all():
            bad = read + int(np.flatnonzero(~np.isfinite(part).all(axis=1))[0])
            raise AudioError(f"{path}: expected finite samples, got NaN or infinity at {bad / info.rate:.3f} s")
        read += len(part)
        yield resampler.push(part)
    yield resampler.flush()


def _decoded(path: Path) -> Iterator[Samples]:
    """Samples at the file's own rate, [n, channels], a part at a time."""
    try:
        file = soundfile.SoundFile(str(path))
    except soundfile.LibsndfileError:
        yield from _decoded_container(path)
        return
    with file:
        read = 0
        while True:
            try:
                part = file.read(READ_FRAMES, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                raise AudioError(f"{path}: damaged after {read / file.samplerate:.2f} s ({error})") from error
            read += len(part)
            if not len(part):
                break
            yield part
        if file.seekable() and read < file.frames < 2**62:
            got, expected = read / file.samplerate, file.frames / file.samplerate
            raise AudioError(f"{path}: breaks off: expected {expected:.2f} s of audio, got {got:.2f} s")


def _decoded_container(path: Path) -> Iterator[Samples]:
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            resampler = av.AudioResampler("fltp", None, stream.rate)  # planar float, whatever the coding
            for frame in container.decode(stream):
                for plane in resampler.resample(frame):
                    yield np.ascontiguousarray(plane.to_ndarray().T, np.float32)
            for plane in resampler.resample(None):
                yield np.ascontiguousarray(plane.to_ndarray().T, np.float32)
    except av.error.FFmpegError as error:
        raise AudioError(f"{path}: damaged ({error.strerror})") from error
