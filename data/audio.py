"""Audio files as training reads them: whole, mono, 16 kHz.

libsndfile decodes what it knows, FFmpeg, through PyAV, the rest, FLAC without a length in its header, and MP3:
libsndfile ends an MP3 file at a length that it merely estimates unless the file's first frame tells it.
"""

import os
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz
SLACK = 2 * 1152  # samples by which a declared length may be off: two frames of MP3
NO_LENGTH = 2**62  # libsndfile's number of frames, or more, where a header leaves the length open, as FLAC's may
OPEN_LENGTH = "its header tells no length"

Samples = NDArray[np.float32]


class AudioError(ValueError):
    """A file is missing, is no audio, or holds none; the message starts with its path."""


def load_audio(path: str | os.PathLike[str]) -> Samples:
    """Decodes an audio file of any rate, depth and channel count.

    Args:
        path: A file that libsndfile can decode, or else PyAV (FFmpeg), if it is installed. MP3 and FLAC without PyAV
            only if the file tells its length.

    Returns:
        [n] float32, mono (the mean of the channels) at 16 kHz, full scale = 1.

    Raises:
        AudioError: if the file is missing, empty, not audio, without samples, cut off (if its header tells;
            of WAV and Ogg, what is there is read), or has samples that are not finite.
    """
    _check_file(path)
    try:
        info = soundfile.info(os.fspath(path))
        if info.format == "MP3":
            channels, rate = _decode_mp3(path, info.frames)
        elif info.frames >= NO_LENGTH:
            channels, rate = _decode_av(path, OPEN_LENGTH)
        else:
            channels, rate = _decode_soundfile(path)
    except soundfile.LibsndfileError as error:
        channels, rate = _decode_av(path, error.error_string)
    if not len(channels):
        raise AudioError(f"{path}: expected audio, got 0 samples")
    if not np.isfinite(channels).all():
        raise AudioError(f"{path}: expected finite samples, got NaN or infinity")
    return to_mono_16k(channels, rate)


def recordings_in(folder: Path) -> list[Path]:
    """Files of a folder, in the order of their names; hidden ones are left out.

    Raises:
        AudioError: if the folder is not there, or has none.
    """
    found = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")) if folder.is_dir() else []
    if not found:
        raise AudioError(f"{folder}: expected a folder of recordings, found none")
    return found


def to_mono_16k(channels: NDArray[np.float32], rate: int) -> Samples:
    """Mean of the channels, [n, c] -> [m], resampled from `rate` Hz to 16 kHz."""
    mono = channels[:, 0] if channels.shape[1] == 1 else channels.mean(axis=1, dtype=np.float32)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    return np.ascontiguousarray(mono, np.float32)


def audio_seconds(path: str | os.PathLike[str]) -> float:
    """Length of an audio file, from its header alone where that says it.

    Raises:
        AudioError: if the file is missing, empty or not audio.
    """
    _check_file(path)
    try:
        info = soundfile.info(os.fspath(path))
    except soundfile.LibsndfileError as error:
        return _av_seconds(path, error.error_string)
    if info.format == "MP3" and not _tells_length(path):
        channels, rate = _decode_mp3(path, info.frames)
        return len(channels) / rate
    if info.frames >= NO_LENGTH:
        return _av_seconds(path, OPEN_LENGTH)
    if info.frames <= 0:
        raise AudioError(f"{path}: expected audio, got 0 samples")
    return float(info.frames / info.samplerate)


def _check_file(path: str | os.PathLike[str]) -> None:
    if not os.path.isfile(path):
        raise AudioError(f"{path}: no such file")
    if not os.path.getsize(path):
        raise AudioError(f"{path}: expected audio, got an empty file")


def _decode_soundfile(path: str | os.PathLike[str]) -> tuple[NDArray[np.float32], int]:
    with soundfile.SoundFile(os.fspath(path)) as file:
        channels = file.read(dtype="float32", always_2d=True)
        _check_length(path, len(channels), file.frames)
        return channels, file.samplerate


def _decode_mp3(path: str | os.PathLike[str], declared: int) -> tuple[NDArray[np.float32], int]:
    """Decodes an MP3 file of which libsndfile says that it has `declared` samples."""
    tells = _tells_length(path)
    if find_spec("av") is None:
        if not tells:
            raise AudioError(f"{path}: an MP3 file that does not tell its length, which only PyAV reads to its end")
        return _decode_soundfile(path)
    channels, rate = _decode_av(path, "damaged MP3")
    if tells:
        _check_length(path, len(channels), declared)
    return channels, rate


def _tells_length(path: str | os.PathLike[str]) -> bool:
    """Whether an MP3 file's first frame is a Xing or Info tag, which holds the number of frames."""
    with open(path, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3" and len(head) == 10:  # ID3v2: a length of four times 7 bits, without its header
            file.seek(10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True)))
        else:
            file.seek(0)
        frame = file.read(256)
    return b"Xing" in frame or b"Info" in frame


def _check_length(path: str | os.PathLike[str], decoded: int, declared: int) -> None:
    if decoded < declared - SLACK:
        raise AudioError(f"{path}: cut off: header says {declared} samples, decoded {decoded}")


def _import_av(path: str | os.PathLike[str], reason: str) -> Any:
    try:
        import av  # not in the base install: only what libsndfile cannot decode needs it
    except ImportError as error:
        what = f"libsndfile cannot decode it ({reason.rstrip('.')})"
        raise AudioError(f"{path}: {what} and PyAV, which might, is not installed") from error
    return av


def _decode_av(path: str | os.PathLike[str], reason: str) -> tuple[NDArray[np.float32], int]:
    """Decodes with FFmpeg what libsndfile refused for `reason`."""
    av = _import_av(path, reason)
    try:
        with av.open(os.fspath(path)) as container:
            if not container.streams.audio:
                raise AudioError(f"{path}: expected audio, got a file without an audio stream")
            rate = int(container.streams.audio[0].rate)
            planar = av.AudioResampler(format="fltp")  # one layout of samples, rate and channels as they are
            blocks = []
            for frame in container.decode(audio=0):
                blocks += [block.to_ndarray().T for block in planar.resample(frame)]
            blocks += [block.to_ndarray().T for block in planar.resample(None)] if blocks else []
    except av.FFmpegError as error:
        raise AudioError(f"{path}: expected audio: {reason.rstrip('.')}; FFmpeg: {error.strerror}") from error
    if not blocks:
        raise AudioError(f"{path}: expected audio, got 0 samples")
    return np.concatenate(blocks), rate


def _av_seconds(path: str | os.PathLike[str], reason: str) -> float:
    av = _import_av(path, reason)
    try:
        with av.open(os.fspath(path)) as container:
            stream = next(iter(container.streams.audio), None)
            if stream is None:
                raise AudioError(f"{path}: expected audio, got a file without an audio stream")
            if stream.duration is not None:
                return float(stream.duration * stream.time_base)
            if container.duration is not None:
                return float(Fraction(container.duration, av.time_base))
    except av.FFmpegError as error:
        raise AudioError(f"{path}: expected audio: {reason.rstrip('.')}; FFmpeg: {error.strerror}") from error
    channels, rate = _decode_av(path, reason)  # nothing says its length: a browser's WebM, for one
    return len(channels) / rate
