"""Raw samples on the wire: bytes to float32 in [-1, 1] and back, for every `Encoding` but `CONTAINER`.

The logarithmic formats follow ITU-T G.711 (1988), tables 1a to 2b, on the 16-bit scale that every
implementation uses: µ-law spans ±32124, A-law ±32256.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.wire.messages import Encoding

BYTES_PER_SAMPLE: Final = {Encoding.S16LE: 2, Encoding.F32LE: 4, Encoding.MULAW: 1, Encoding.ALAW: 1}
"""Bytes that one sample takes; a frame may end inside a sample, its receiver keeps the rest for the next."""

_FULL_SCALE = 32768.0  # int16 units in 1.0
_MULAW_BIAS = 132  # added to magnitudes, so that every segment begins at a power of two
_MULAW_CLIP = 32635  # largest magnitude whose biased value still fits the last segment


def decode(data: bytes, encoding: Encoding) -> NDArray[np.float32]:
    """Turn bytes into samples.

    Args:
        data: whole samples in `encoding`; may be empty.
        encoding: what the bytes are.

    Returns:
        [N] samples in [-1, 1]. Floats come through as they are, beyond ±1 and not-a-number included: what to
        do about those is the receiver's to say.

    Raises:
        ValueError: the bytes are not a whole number of samples, or are said to be a container's.
    """
    width = _width(encoding)
    if len(data) % width:
        raise ValueError(f"expected a multiple of {width} bytes of {encoding}, got {len(data)}")
    if encoding is Encoding.F32LE:
        return np.frombuffer(data, "<f4").astype(np.float32)
    if encoding is Encoding.S16LE:
        samples = np.frombuffer(data, "<i2")
    else:
        samples = _TABLES[encoding][np.frombuffer(data, np.uint8)]  # [N]
    return samples.astype(np.float32) / np.float32(_FULL_SCALE)


def encode(samples: NDArray[np.floating], encoding: Encoding) -> bytes:
    """Turn samples into bytes; what lies beyond [-1, 1] is clipped, except in floats.

    Args:
        samples: [N] in [-1, 1].
        encoding: what the bytes shall be.

    Returns:
        `N * BYTES_PER_SAMPLE[encoding]` bytes.

    Raises:
        ValueError: not one dimension, a sample is not finite, or the encoding is a container.
    """
    _width(encoding)
    if samples.ndim != 1:
        raise ValueError(f"expected samples of one channel, [N], got shape {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError("expected finite samples, got NaN or infinity")
    if encoding is Encoding.F32LE:
        return samples.astype("<f4").tobytes()
    scaled = np.clip(np.rint(samples.astype(np.float64) * _FULL_SCALE), -32768, 32767).astype(np.int32)
    if encoding is Encoding.S16LE:
        return scaled.astype("<i2").tobytes()
    compress = _compress_mulaw if encoding is Encoding.MULAW else _compress_alaw
    return compress(scaled).astype(np.uint8).tobytes()


def _width(encoding: Encoding) -> int:
    """Bytes a sample."""
    if encoding not in BYTES_PER_SAMPLE:
        raise ValueError(f"expected one of {', '.join(BYTES_PER_SAMPLE)}, got {encoding}, which holds no bare samples")
    return BYTES_PER_SAMPLE[encoding]


def _bit_length(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Bits that each non-negative value needs, [N]; 0 for 0."""
    return np.frexp(values.astype(np.float64))[1]


def _compress_mulaw(samples: NDArray[np.int32]) -> NDArray[np.int32]:
    """16-bit samples to µ-law codes, [N]: sign, 3 of segment, 4 of mantissa, all inverted."""
    magnitude = np.minimum(np.abs(samples), _MULAW_CLIP) + _MULAW_BIAS
    segment = _bit_length(magnitude) - 8
    code = (segment << 4) | ((magnitude >> (segment + 3)) & 0x0F)
    return ~(code | np.where(samples < 0, 0x80, 0)) & 0xFF


def _compress_alaw(samples: NDArray[np.int32]) -> NDArray[np.int32]:
    """16-bit samples to A-law codes, [N]: sign, 3 of segment, 4 of mantissa, every other bit inverted."""
    reduced = samples >> 3  # A-law has 13 bits
    magnitude = np.where(reduced < 0, ~reduced, reduced)
    segment = np.maximum(_bit_length(magnitude) - 5, 0)
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0x0F)
    return code ^ np.where(reduced < 0, 0x55, 0xD5)


def _expand_mulaw() -> NDArray[np.int16]:
    """The 16-bit value of every µ-law code, [256]."""
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + _MULAW_BIAS) << ((code >> 4) & 7)) - _MULAW_BIAS
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


def _expand_alaw() -> NDArray[np.int16]:
    """The 16-bit value of every A-law code, [256]."""
    code = np.arange(256) ^ 0x55
    segment, mantissa = (code >> 4) & 7, (code & 0x0F) << 4
    magnitude = np.where(segment == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_TABLES: Final = {Encoding.MULAW: _expand_mulaw(), Encoding.ALAW: _expand_alaw()}
