"""Frames of an encoder that is not trained, computed once and stored: runs that share it cost what they train.

A cache of features holds one row for each 10 ms. An encoder frame of width D lies in it as 8 rows of D / 8, so that
lengths, buckets and batches count what they always count.

Letters: B batch, T log-mel frames (10 ms), S encoder frames (80 ms), D width.
"""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.encoder.encoder import FRAMES_PER_STEP, Encoder
from asr.training.compiled import compiled
from asr.training.dev import BATCH_FRAMES, batches_by_length, padded
from asr.transducer.joint import MAX_BLOCK
from data.cache import FeatureCache, open_cache, write_cache
from data.manifest import Utterance

log = logging.getLogger(__name__)


class StoredEncoder(Encoder):
    """An encoder whose frames come from a cache; it has the weights that made them."""

    def call(self, frames: Any, lengths: Any, chunk: Any, training: bool = False) -> tuple[Any, Any]:
        """Takes frames as they are stored, [B, T, D / 8], for both of its outputs; else as `Encoder.call`.

        Nothing is known of the lower frames, so the head on them gives nothing that could be used.
        """
        upper = ops.reshape(frames, (-1, frames.shape[1] // FRAMES_PER_STEP, self.config.dim))
        upper = ops.cast(upper, self.compute_dtype)
        return upper, upper

    def encode(self, frames: Any, lengths: Any, chunk: Any) -> Any:
        """Log-mel frames to what is stored: [B, T, 80] -> [B, T, D / 8]; arguments as `Encoder.call`."""
        upper = super().call(frames, lengths, chunk)[1]
        return ops.reshape(upper, (-1, frames.shape[1], self.config.dim // FRAMES_PER_STEP))


def stored_frames(
    encoder: StoredEncoder,
    utterances: Sequence[Utterance],
    features: FeatureCache,
    folder: Path,
    chunk: int,
    fill: float,
) -> FeatureCache:
    """What the encoder makes of utterances: from the folder, or computed and written there.

    Args:
        encoder: With its weights.
        utterances: Which.
        features: Their log-mel frames.
        folder: Of the cache of the encoder's frames; one of other weights or another chunk is replaced.
        chunk: Encoder frames per chunk; 0: full context.
        fill: Log-mel of digital silence. A recording is filled up with it to whole blocks, as a stream is.

    Returns:
        Frames as `StoredEncoder` takes them, lengths rounded up to whole blocks.
    """
    settings = f"encoder {_digest(encoder)}, chunk {chunk}"
    cache = open_cache(folder, settings)
    if cache is not None and all(cache.holds(u) for u in utterances):
        return cache
    log.info("encoding %d utterances", len(utterances))
    counts = [features.spans[u.id][1] for u in utterances]
    batches = batches_by_length(counts, BATCH_FRAMES)
    ordered = [utterances[i] for rows in batches for i in rows]
    encoded = _encoded(encoder, [[utterances[i].id for i in rows] for rows in batches], features, chunk, fill)
    return write_cache(ordered, encoded, folder, settings, bins=encoder.config.dim // FRAMES_PER_STEP)


def _encoded(
    encoder: StoredEncoder, batches: Sequence[Sequence[str]], features: FeatureCache, chunk: int, fill: float
) -> Iterator[NDArray[np.float16]]:
    """Stored frames of each utterance of the batches, in order."""
    encode = compiled(lambda frames, lengths: encoder.encode(frames, lengths, chunk or frames.shape[1]), encoder)
    unit = FRAMES_PER_STEP * (min(chunk, MAX_BLOCK) or MAX_BLOCK)
    for ids in batches:
        found = [features[name] for name in ids]
        length = padded(max(len(x) for x in found))
        size = max(len(found), BATCH_FRAMES // length)  # rows past the batch are silence: one shape a length
        frames = np.full((size, length, found[0].shape[1]), fill, np.float32)
        for row, x in enumerate(found):
            frames[row, : len(x)] = x
        lengths = [-(-len(x) // unit) * unit for x in found]
        rows = encode(frames, ops.convert_to_tensor(lengths + [0] * (size - len(lengths)), "int32"))
        rows = np.asarray(ops.cast(rows, "float16"))
        yield from (row[:n] for row, n in zip(rows, lengths, strict=False))


def _digest(encoder: Encoder) -> str:
    """Names the encoder: its weights, and what it does with them."""
    c = encoder.config
    settings = (c.heads, c.left_frames, c.lookahead_frames, c.encoder_attention, c.attention_span)
    digest = hashlib.sha256(repr(settings).encode())
    for weight in encoder.weights:
        digest.update(np.asarray(weight.value).tobytes())
    return digest.hexdigest()[:16]
