"""Audio files as blocks of 16 kHz mono samples, in bounded memory.

libsndfile reads WAV (any width, float, µ-law, A-law), AIFF, FLAC and Ogg (Vorbis, Opus); FFmpeg, through PyAV, the
rest (MP3, WebM, MP4, …). MP3, because libsndfile stops at a length which it merely estimates if the file has no tag.

A file that breaks off or is damaged is an error, never a shorter file. WAV, AIFF and Ogg are checked before the first
block; of others, blocks before the damage may have been yielded when the error comes, so that a caller must not take
them for the whole. What cannot be told from a whole file: raw MPEG frames cut between two frames, WebM without a
length in its header, as browsers record it, cut between two blocks or damaged inside, Ogg cut between two pages, and
FLAC without a length in its header damaged inside.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr.audio.containers import decode_container, probe_container
from asr.audio.errors import AudioError
from asr.audio.info import AudioInfo
from asr.audio.resample import MAX_RATE, MIN_RATE, TARGET_RATE, StreamResampler
from asr.audio.structure import check_whole, may_be_mpeg

__all__ = ["AudioInfo", "probe", "read_blocks"]

READ_FRAMES = 16_384  # source frames read at a time: memory stays below a few megabytes
NO_LENGTH = 2**62  # libsndfile's number of frames, or more, where a header leaves the length open

Samples = NDArray[np.float32]


def probe(path: Path | str) -> AudioInfo:
    """Reads a file's header.

    Raises:
        AudioError: if the file is missing, empty, not readable or no audio.
    """
    path = Path(path)
    _check_file(path)
    file = _open_soundfile(path)
    if file is None:
        return probe_container(path)
    with file:
        name = f"{file.format} {file.subtype}"
        return AudioInfo(file.frames / file.samplerate, file.samplerate, file.channels, name)


def _open_soundfile(path: Path) -> soundfile.SoundFile | None:
    """Opens what libsndfile reads well; None for FFmpeg to try."""
    if may_be_mpeg(path):
        return None
    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.LibsndfileError, TypeError):  # TypeError: a name like "x.raw", whose header is not looked at
        return None
    if file.format == "MP3" or file.frames >= NO_LENGTH:
        file.close()
        return None
    return file


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise AudioError(f"{path}: expected an audio file, got a folder")
    if path.exists() and not path.is_file():
        raise AudioError(f"{path}: expected an audio file, got a pipe or device, which cannot be read twice")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise AudioError(f"{path}: expected an audio file, got: {error.strerror}") from error
    if empty:
        raise AudioError(f"{path}: expected an audio file, got an empty file")


def read_blocks(path: Path | str, block_samples: int = TARGET_RATE) -> Iterator[Samples]:
    """A file's audio as 16 kHz mono, in blocks.

    Args:
        path: Any audio file.
        block_samples: Samples of each block but the last.

    Yields:
        [n] float32, n = `block_samples` or, at the end, fewer but not 0. Values beyond [-1, 1] stay.

    Raises:
        AudioError: if the file is missing, empty, no audio, has no samples, is damaged or breaks off, or holds NaN or
            infinity (naming the second).
    """
    path = Path(path)
    if block_samples < 1:
        raise AudioError(f"expected blocks of 1 sample or more, got {block_samples}")
    _check_file(path)
    check_whole(path)
    info = probe(path)
    if not MIN_RATE <= info.rate <= MAX_RATE:
        raise AudioError(f"{path}: expected a sample rate from {MIN_RATE} to {MAX_RATE} Hz, got {info.rate}")
    waiting: list[Samples] = []
    count = total = 0
    for part in _resampled(path, info):
        waiting.append(part)
        count += len(part)
        total += len(part)
        if count >= block_samples:
            joined = np.concatenate(waiting)
            whole = count - count % block_samples
            for start in range(0, whole, block_samples):
                yield joined[start : start + block_samples]
            waiting, count = [joined[whole:]], count - whole
    if count:
        yield np.concatenate(waiting)
    elif not total:
        raise AudioError(f"{path}: expected audio, got a file of 0 samples")


def _resampled(path: Path, info: AudioInfo) -> Iterator[Samples]:
    resampler = StreamResampler(info.rate)
    read = 0
    for part in _decoded(path):
        finite = np.isfinite(part).all(axis=1)  # [n, channels] → [n]
        if not finite.all():
            second = (read + int(np.argmin(finite))) / info.rate
            raise AudioError(f"{path}: expected finite samples, got NaN or infinity at {second:.3f} s")
        read += len(part)
        yield resampler.push(part)
    yield resampler.flush()


def _decoded(path: Path) -> Iterator[Samples]:
    """Samples at the file's own rate, [n, channels], a part at a time."""
    file = _open_soundfile(path)
    if file is None:
        yield from decode_container(path)
        return
    with file:
        read = 0
        while True:
            try:
                part = file.read(READ_FRAMES, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError as error:
                seconds = read / file.samplerate
                raise AudioError(f"{path}: damaged or broken off after {seconds:.2f} s ({error})") from error
            if not len(part):
                break
            read += len(part)
            yield part
        if read < file.frames:
            got, expected = read / file.samplerate, file.frames / file.samplerate
            raise AudioError(f"{path}: breaks off: expected {expected:.2f} s of audio, got {got:.2f} s")
