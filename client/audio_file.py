"""Audio files as the bytes that a session sends.

libsndfile decodes what it decodes well, and bare samples are sent; of anything else the server gets the file's own
bytes and decodes them. MP3 is among the latter, because libsndfile stops at a length which it merely estimates if the
file has no tag.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from client.errors import AudioFileError
from server.wire import Encoding
from server.wire.pcm import BYTES_PER_SAMPLE, encode

MIN_RATE, MAX_RATE = 8_000, 48_000  # Hz, what a session takes
OTHER_RATE = 16_000  # Hz, what rates out of range become: recognition runs at it
BLOCK_S = 0.1  # seconds sent at a time
CONTAINER_BLOCK = 16 * 1024  # bytes sent at a time
NO_LENGTH = 2**62  # libsndfile's number of frames, or more, where a header leaves the length open

_SIXTEEN_BITS = frozenset({"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW"})  # no sample of theirs needs more


@dataclass(frozen=True)
class AudioSource:
    """What is to be sent of a file.

    Attributes:
        path: The file.
        encoding: What the bytes will be.
        sample_rate: Hertz; None of a container, whose rate the server finds.
        seconds: Length; 0 if it is not known.
    """

    path: Path
    encoding: Encoding
    sample_rate: int | None
    seconds: float

    @property
    def bytes_per_second(self) -> float:
        """Of what is sent; 0 if it is not known."""
        if self.sample_rate is not None:
            return self.sample_rate * BYTES_PER_SAMPLE[self.encoding]
        return self.path.stat().st_size / self.seconds if self.seconds else 0.0

    def blocks(self, steady: bool = False) -> Iterator[bytes]:
        """The bytes, some at a time.

        Args:
            steady: Whether a container's blocks, too, shall be short in time, as real time needs.

        Raises:
            AudioFileError: if the file is damaged, breaks off, or holds no audio; blocks before that were given.
        """
        if self.sample_rate is not None:
            return _samples(self)
        size = max(1, round(self.bytes_per_second * BLOCK_S)) if steady else CONTAINER_BLOCK
        return _raw(self.path, min(size, CONTAINER_BLOCK))


def open_audio(path: Path, decode: bool = False) -> AudioSource:
    """Finds out how a file is sent.

    Args:
        path: An audio file.
        decode: Whether bare samples are needed, MP3 included.

    Raises:
        AudioFileError: if the file is missing, empty or not readable, or cannot be decoded here though it must be.
    """
    _check(path)
    try:
        with soundfile.SoundFile(str(path)) as file:
            seconds = file.frames / file.samplerate if file.frames < NO_LENGTH else 0.0
            if seconds and (decode or not _is_mpeg(file)):
                in_range = MIN_RATE <= file.samplerate <= MAX_RATE
                small = file.subtype in _SIXTEEN_BITS and file.channels == 1 and in_range
                encoding = Encoding.S16LE if small else Encoding.F32LE
                return AudioSource(path, encoding, file.samplerate if in_range else OTHER_RATE, seconds)
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a name like "x.raw", whose header is not looked at
        seconds = 0.0
    if decode:
        raise AudioFileError(f"{path}: expected a file that libsndfile decodes, such as WAV, FLAC, Ogg or MP3")
    return AudioSource(path, Encoding.CONTAINER, None, seconds)


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise AudioFileError(f"{path}: expected an audio file, got: {error.strerror}") from error
    if empty:
        raise AudioFileError(f"{path}: expected an audio file, got an empty file")


def _raw(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(size):
            yield block


def _samples(source: AudioSource) -> Iterator[bytes]:
    path, rate = source.path, source.sample_rate
    assert rate is not None
    with soundfile.SoundFile(str(path)) as file:
        resampler = None if file.samplerate == rate else soxr.ResampleStream(file.samplerate, rate, 1, "float32")
        for block in _decoded(file, path):
            mono: NDArray[np.float32] = block.mean(axis=1, dtype=np.float32)  # [n, channels] → [n]
            if resampler is not None:
                mono = resampler.resample_chunk(mono, last=not len(block))
            if len(mono):
                yield encode(mono, source.encoding)


def _decoded(file: soundfile.SoundFile, path: Path) -> Iterator[NDArray[np.float32]]:
    """[n, channels] at the file's rate, and an empty block at the end."""
    size = int(file.samplerate * BLOCK_S)
    # MP3 at once: soundfile seeks after each read, and a frame then lacks the bits that it borrows from the one before.
    read_size = file.frames if _is_mpeg(file) else size
    read = 0
    while True:
        try:
            part = file.read(read_size, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioFileError(f"{path}: damaged after {read / file.samplerate:.2f} s ({error})") from error
        read += len(part)
        if not np.isfinite(part).all():
            raise AudioFileError(f"{path}: expected finite samples, got NaN or infinity")
        for start in range(0, max(1, len(part)), size):
            yield part[start : start + size]
        if not len(part):
            break
    if not _is_mpeg(file) and read < file.frames:
        got, expected = read / file.samplerate, file.frames / file.samplerate
        raise AudioFileError(f"{path}: breaks off: expected {expected:.2f} s of audio, got {got:.2f} s")


def _is_mpeg(file: soundfile.SoundFile) -> bool:
    return file.format in ("MP3", "MPEG")
