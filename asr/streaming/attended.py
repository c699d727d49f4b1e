"""What there is to see of a recording's attention: where each wordpiece looked, and the encoder's window by layer."""

from dataclasses import dataclass

import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.encoder.encoder import FRAMES_PER_STEP, Encoder
from asr.encoder.subsampling import STRIDE
from asr.features import FRAMES_PER_SECOND, HOP_SAMPLES, log_mel
from asr.streaming.looks import BlockLook
from asr.transcript import Transcript

PATTERN_FRAMES = 1024  # log-mel frames whose attention makes the pattern, at most: weights grow with their square
FRAME_MS = 1000 // FRAMES_PER_SECOND


@dataclass(frozen=True)
class WindowPattern:
    """How far a layer of the encoder looks.

    Attributes:
        offsets_ms: [O] time of a key less that of the query: before it below 0.
        weights: [H, O] mean over the queries that had such a key of what each head gave it.
    """

    offsets_ms: NDArray[np.int64]
    weights: NDArray[np.float32]


@dataclass(frozen=True)
class Attended:
    """A recording with everything that the model looked at.

    Attributes:
        frames: [T, 80] log-mel, every 10 ms.
        transcript: Its words.
        looks: Blocks of the transducer, in the order in which they were read.
        encoder: Pattern of each layer of the encoder by its name, the lowest first.
    """

    frames: NDArray[np.float32]
    transcript: Transcript
    looks: tuple[BlockLook, ...]
    encoder: dict[str, WindowPattern]


def window_patterns(encoder: Encoder, samples: NDArray[np.float32], chunk: int) -> dict[str, WindowPattern]:
    """The encoder's attention by distance, over the first ten seconds.

    Args:
        encoder: The encoder.
        samples: [n] mono float at 16 kHz.
        chunk: Encoder frames per chunk.
    """
    frames = log_mel(samples[: PATTERN_FRAMES * HOP_SAMPLES])
    used = len(frames) // FRAMES_PER_STEP * FRAMES_PER_STEP
    if not used:
        return {}
    lengths = ops.convert_to_tensor([used], "int32")
    found = encoder.look(ops.convert_to_tensor(frames[None, :used]), lengths, chunk)
    lower = {layer.name for layer in encoder.lower}
    return {
        name: _pattern(np.asarray(weights)[0], FRAME_MS * (STRIDE if name in lower else FRAMES_PER_STEP))
        for name, weights in found.items()
    }


def _pattern(weights: NDArray[np.float32], frame_ms: int) -> WindowPattern:
    """Means along the diagonals of [H, S, S]: offsets at which no query had a key are left out."""
    size = weights.shape[1]
    offsets, means = [], []
    for offset in range(1 - size, size):
        diagonal = np.diagonal(weights, offset, axis1=1, axis2=2)  # [H, pairs]
        seen = diagonal.max(axis=0) > 0.0
        if seen.any():
            offsets.append(offset * frame_ms)
            means.append(diagonal[:, seen].mean(axis=1))
    return WindowPattern(np.array(offsets), np.stack(means, axis=1).astype(np.float32))
