"""The encoder's step in the form that is exported: caches are rings, which only their owner writes to.

What `Encoder.step` does, by another way. There the cache is shifted and every key in it rotated anew; here a key is
rotated once, by its place in the ring, and the queries are rotated twice: for the keys that lie before the chunk in
the ring, and, one ring further, for those behind it, which are older. Scores depend on differences of places only, so
they are the same, and places stay below two rings, however long the stream. A step returns the chunk's keys and values
alone.

Letters: B rows, C frames of a chunk, M frames of a ring, L frames of left window, H heads, d width of a head, D = H · d
width, J joint width.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.attention.masking import MASKED
from asr.attention.rotary import BASE, rotate
from asr.config import ModelConfig
from asr.decoding.heads import Head, frames_of
from asr.encoder.normalisation import EPSILON
from asr.encoder.reach import whole_chunks
from asr.errors import AsrError
from asr.features import MEL_BINS
from asr.lite.folding import FoldedLayer, Product, folded
from asr.transducer.model import Transducer

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Level:
    """Sizes of the lower or of the upper layers.

    Attributes:
        chunk: C.
        left: L.
        head_dim: d.
    """

    chunk: int
    left: int
    head_dim: int

    @property
    def ring(self) -> int:
        """M: whole chunks, so that none is cut at the ring's end."""
        return whole_chunks(self.left, self.chunk)

    def angles(self, places: NDArray[Any]) -> Array:
        """Angles of rotation: [...] -> [..., d / 2]."""
        frequency = BASE ** (-np.arange(0, self.head_dim, 2) / self.head_dim)
        return np.asarray(places[..., None] * frequency, np.float32)

    def side_inputs(self, seen: NDArray[np.int64], valid: NDArray[np.int64]) -> list[Array]:
        """What the step needs to know of each row's place.

        Args:
            seen: [B] frames before the chunk.
            valid: [B] frames of the chunk that exist.

        Returns:
            Cosines and sines of the chunk's places [B, 1, C, d / 2]; 1 for places of the ring behind the chunk's
            [B, 1, 1, M]; and what is added to the scores of the ring and the chunk [B, 1, 1, M + C].
        """
        cosines, sines, behind, ages = self._by_place
        chunk = self.place(seen) // self.chunk
        exists = ages[chunk] <= np.minimum(seen, self.left)[:, None]
        here = np.arange(self.chunk) < valid[:, None]
        hidden = np.where(np.concatenate([exists, here], axis=1), np.float32(0), np.float32(MASKED))
        return [cosines[chunk][:, None], sines[chunk][:, None], behind[chunk][:, None, None], hidden[:, None, None]]

    @cached_property
    def _by_place(self) -> tuple[Array, Array, Array, NDArray[np.int64]]:
        """For each place of a chunk in the ring: cosines and sines, what is behind it, and ages before its first."""
        ring = np.arange(self.ring)
        first = ring[:: self.chunk, None]
        angles = self.angles(first + np.arange(self.chunk))
        behind = ring >= first  # [M / C, M]
        ages = first + self.ring * behind - ring
        return np.cos(angles), np.sin(angles), behind.astype(np.float32), ages

    def place(self, seen: NDArray[np.int64]) -> NDArray[np.int64]:
        """[B], where in the ring the chunk after so many frames goes."""
        return seen % self.ring


def refusal(config: ModelConfig) -> str | None:
    """Why LiteRT does not serve a model; None: it does."""
    if config.encoder_attention != "windowed":  # areas need their frames in order
        return f"engine: LiteRT serves encoder_attention 'windowed', got {config.encoder_attention!r}"
    if config.lookahead_frames:
        return f"engine: LiteRT serves models without look-ahead, got lookahead_frames {config.lookahead_frames}"
    return None


class RingEncoder:
    """One step of a transducer's encoder, normalised log-mel to the joint's keys and values, with ring caches.

    Args:
        model: The transducer.
        frames: Encoder frames per chunk.
        rows: B.
        head: The CTC head whose log-probabilities the step gives, too; None: there is none.

    Raises:
        AsrError: for a model that is not served.
    """

    def __init__(self, model: Transducer, frames: int, rows: int, head: Head | None = None) -> None:
        """Folds the weights."""
        config: ModelConfig = model.config
        if reason := refusal(config):
            raise AsrError(reason)
        self.head = head
        self.model, self.rows, self.heads, self.dim = model, rows, config.heads, config.dim
        head_dim = config.dim // config.heads
        self.lower = Level(2 * frames, 2 * config.left_frames, head_dim)
        self.upper = Level(frames, config.left_frames, head_dim)
        self.past = config.kernel - 1  # frames that the convolution looks back
        self._below = [folded(layer) for layer in model.encoder.lower]
        self._above = [folded(layer) for layer in model.encoder.upper]

    def levels(self) -> list[Level]:
        """Of each layer."""
        return [self.lower] * len(self._below) + [self.upper] * len(self._above)

    def input_shapes(self) -> list[tuple[int, ...]]:
        """Of `step`'s arguments after the frames: side inputs of both levels, small states, and rings."""
        rows = self.rows
        shapes: list[tuple[int, ...]] = []
        for level in (self.lower, self.upper):
            half = (rows, 1, level.chunk, level.head_dim // 2)
            shapes += [half, half, (rows, 1, 1, level.ring), (rows, 1, 1, level.ring + level.chunk)]
        return shapes + self.state_shapes(rows)

    def state_shapes(self, rows: int) -> list[tuple[int, ...]]:
        """Of the convolutions' last rows and every layer's past, and then of every layer's keys and values."""
        channels = self.model.config.channels
        levels = self.levels()
        small: list[tuple[int, ...]] = [(rows, 1, MEL_BINS, 1), (rows, 1, MEL_BINS // 2, channels)]
        small += [(rows, self.past, self.dim)] * len(levels)
        return small + [(rows, self.heads, level.ring, level.head_dim) for level in levels for _ in range(2)]

    def step(self, frames: Any, *inputs: Any) -> list[Any]:
        """Encodes a chunk.

        Args:
            frames: [B, T, 80] normalised log-mel.
            inputs: As `input_shapes`.

        Returns:
            The joint's keys and values [B, C, 2J], with a head log-probabilities behind them, as `frames_of` has them;
            the convolutions' last rows and every layer's past; and every layer's new keys and values [B, H, C, d].
        """
        encoder, count = self.model.encoder, len(self._below) + len(self._above)
        below, above, (mel, middle), rest = inputs[:4], inputs[4:8], inputs[8:10], inputs[10:]
        past, rings = rest[:count], rest[count:]
        x, small = encoder.subsampling.step(frames, {"mel": mel, "middle": middle})
        lower, pasts, news = x, [], []
        for i, (weights, level) in enumerate(zip(self._below + self._above, self.levels(), strict=True)):
            if i == len(self._below):
                lower, x = x, encoder.stacking(x)
            side = below if i < len(self._below) else above
            x, after, new = self._layer(weights, level, x, past[i], rings[2 * i : 2 * i + 2], side)
            pasts.append(after)
            news += new
        return [frames_of(self.model, self.head, lower, x), small["mel"], small["middle"], *pasts, *news]

    def _layer(
        self, w: FoldedLayer, level: Level, x: Any, past: Any, ring: tuple[Any, ...], side: tuple[Any, ...]
    ) -> tuple[Any, Any, list[Any]]:
        x = x + _times(_silu(_times(_norm(x), w.in1)), w.out1)
        context, new = self._attend(_times(_norm(x), w.qkv), level, ring, side)
        x = x + _times(context, w.attend)
        gated = _times(_norm(x), w.gate)
        heard = ops.concatenate([past, gated[..., : self.dim] * ops.sigmoid(gated[..., self.dim :])], axis=1)
        y = sum(heard[:, i : i + level.chunk] * tap for i, tap in enumerate(w.taps))
        y = _norm(y) * w.middle_scale + w.middle_offset
        x = x + _times(_silu(y), w.point)
        x = x + _times(_silu(_times(_norm(x), w.in2)), w.out2)
        return _norm(x) * w.last_scale + w.last_offset, heard[:, level.chunk :], new

    def _attend(self, qkv: Any, level: Level, ring: tuple[Any, ...], side: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        """[B, C, 3D] -> contexts [B, C, D], and the chunk's keys and values."""
        (keys, values), (cosine, sine, behind, hidden) = ring, side
        shape = (-1, level.chunk, self.heads, level.head_dim)
        parts = (qkv[..., i * self.dim : (i + 1) * self.dim] for i in range(3))
        query, key, value = (ops.transpose(ops.reshape(part, shape), (0, 2, 1, 3)) for part in parts)
        query, key = rotate(query, cosine, sine), rotate(key, cosine, sine)
        turn = level.angles(np.asarray(level.ring))
        both = ops.concatenate([query, rotate(query, np.cos(turn), np.sin(turn))], axis=2)  # [B, H, 2C, d]
        both = ops.matmul(both, ops.transpose(keys, (0, 1, 3, 2)))
        before, beyond = both[:, :, : level.chunk], both[:, :, level.chunk :]
        here = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
        scores = ops.concatenate([before + (beyond - before) * behind, here], axis=-1)  # [B, H, C, M + C]
        weights = ops.softmax(scores + hidden, axis=-1)
        context = ops.matmul(weights[..., : level.ring], values) + ops.matmul(weights[..., level.ring :], value)
        context = ops.reshape(ops.transpose(context, (0, 2, 1, 3)), (-1, level.chunk, self.dim))
        return context, [key, value]


def _times(x: Any, product: Product) -> Any:
    return ops.matmul(x, product.kernel) + product.bias


def _silu(x: Any) -> Any:
    return x * ops.sigmoid(x)


def _norm(x: Any) -> Any:
    """Layer normalisation without scale and offset."""
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    return centred * ops.rsqrt(ops.mean(centred * centred, axis=-1, keepdims=True) + EPSILON)
