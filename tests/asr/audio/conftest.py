"""Audio files of many kinds, made where the test wants them."""

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def sine(rate: int, seconds: float, hertz: float = 440.0, amplitude: float = 0.5) -> Samples:
    """A tone, [n]."""
    times = np.arange(round(rate * seconds)) / rate
    return (amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def encode(path: Path, codec: str, samples: Samples, rate: int, options: dict[str, str] | None = None) -> Path:
    """Writes [n] or [n, 2] samples with FFmpeg; the name's ending decides the container."""
    planes = np.atleast_2d(samples.T)  # [n] or [n, channels] → [channels, n]
    layout = "mono" if len(planes) == 1 else "stereo"
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        form = stream.codec_context.format.name
        cutter = av.AudioResampler(form, layout, rate, frame_size=stream.codec_context.frame_size or 1024)
        for part in (*cutter.resample(frame), *cutter.resample(None), None):
            container.mux(stream.encode(part))
    return path


def wav_bytes(declared: int, there: int, magic: bytes = b"RIFF") -> bytes:
    """A mono 16 kHz 16-bit WAV that declares so many bytes of samples and holds so many."""
    order, pcm = (">", ">i2") if magic == b"RIFX" else ("<", "<i2")
    body = (sine(16_000, there / 32_000) * 32767).astype(pcm).tobytes()
    form = struct.pack(f"{order}IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    riff = struct.pack(f"{order}I", min(declared + 36, 0xFFFF_FFFF))
    return magic + riff + b"WAVEfmt " + form + b"data" + struct.pack(f"{order}I", declared) + body


def untagged_vbr(path: Path, samples: Samples) -> Path:
    """An MP3 of variable bit rate without the tag that tells its length."""
    with soundfile.SoundFile(
        path, "w", 44_100, 1, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3
    ) as file:
        file.write(samples)
    data = path.read_bytes()
    path.write_bytes(data[data.index(data[:2], 2) :])  # the tag is in a frame of its own, the first
    return path


@pytest.fixture
def make_sine() -> Callable[..., Samples]:
    return sine


@pytest.fixture
def make_encoded() -> Callable[..., Path]:
    return encode


@pytest.fixture
def make_wav_bytes() -> Callable[..., bytes]:
    return wav_bytes


@pytest.fixture
def make_untagged_vbr() -> Callable[..., Path]:
    return untagged_vbr
