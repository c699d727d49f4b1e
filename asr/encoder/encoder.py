"""The encoder: subsampling, lower conformer layers at 40 ms, upper ones at 80 ms.

The lower layers carry a character CTC head in training: characters at 40 ms are what an encoder learns first. The upper
layers carry the wordpiece CTC head and feed the block joint.

Letters: B batch, T log-mel frames (10 ms), S encoder frames (80 ms), D width.
"""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from asr.attention.windowed import chunk_mask
from asr.config import ModelConfig
from asr.encoder.conformer import ConformerLayer
from asr.encoder.lookahead import ChunkCopies
from asr.encoder.subsampling import STRIDE, ConvSubsampling, FrameStacking
from asr.features import MEL_BINS

FRAMES_PER_STEP = 2 * STRIDE  # log-mel frames per encoder frame: 80 ms


class Encoder(keras.layers.Layer):
    """Log-mel frames to encoder frames.

    Args:
        config: Sizes.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any) -> None:
        """Makes the layers; weights are made in `build`."""
        super().__init__(**kwargs)
        self.config = config
        left = config.left_frames
        self.subsampling = ConvSubsampling(config.dim, config.channels, name="subsampling")
        self.lower = [self._layer(f"lower{i}", 2 * left, 0.0) for i in range(config.lower_layers)]
        self.stacking = FrameStacking(config.dim, name="stacking")
        count = config.upper_layers
        self.upper = [self._layer(f"upper{i}", left, config.drop_path * (i + 1) / count) for i in range(count)]

    def _layer(self, name: str, left: int, drop_path: float) -> ConformerLayer:
        c = self.config
        sizes = (c.dim, c.heads, c.feed_forward, c.kernel, left)
        span = c.attention_span if c.encoder_attention == "area" else None
        return ConformerLayer(*sizes, dropout=c.dropout, drop_path=drop_path, span=span, name=name)

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs [B, T, 80]."""
        self.mean = self.add_weight(shape=(MEL_BINS,), initializer="zeros", trainable=False, name="mean")
        self.deviation = self.add_weight(shape=(MEL_BINS,), initializer="ones", trainable=False, name="deviation")
        inner = (input_shape[0], None, self.config.dim)
        self.subsampling.build(input_shape)
        self.stacking.build(inner)
        for layer in self.lower + self.upper:
            layer.build(inner)

    def _normalised(self, frames: Any) -> Any:
        """Global mean and variance normalisation."""
        mean, deviation = ops.cast(self.mean, "float32"), ops.cast(self.deviation, "float32")
        return ops.cast((ops.cast(frames, "float32") - mean) / deviation, self.compute_dtype)

    def call(self, frames: Any, lengths: Any, chunk: Any, training: bool = False) -> tuple[Any, Any]:
        """Encodes whole recordings as a stream cut into chunks would.

        Args:
            frames: [B, T, 80] log-mel, T a multiple of 8.
            lengths: [B] int32, log-mel frames of each recording, rounded up to whole encoder frames by the caller.
            chunk: Encoder frames (80 ms) per chunk, Python int or int32 scalar (with look-ahead a Python int); T / 8
                or more: full context.
            training: Whether dropout and drop-path act.

        Returns:
            Lower frames [B, T / 4, D] and upper frames [B, T / 8, D].

        Raises:
            ValueError: if the chunk is a tensor, with look-ahead.
        """

        def apply(layer: ConformerLayer, x: Any, mask: Any, copies: ChunkCopies | None) -> Any:
            return layer(x, mask, training=training, copies=copies)

        return self._encode(frames, lengths, chunk, apply)

    def look(self, frames: Any, lengths: Any, chunk: Any) -> dict[str, Any]:
        """Weights of every layer's attention by its name, [B, H, S, S]; arguments as `call`."""
        found = {}

        def attend(layer: ConformerLayer, x: Any, mask: Any, copies: ChunkCopies | None) -> Any:
            x, found[layer.name] = layer.look(x, mask, copies)
            return x

        self._encode(frames, lengths, chunk, attend)
        return found

    def _encode(self, frames: Any, lengths: Any, chunk: Any, apply: Callable[..., Any]) -> tuple[Any, Any]:
        """As `call`; `apply` runs a layer: (layer, x, mask, copies) -> x."""
        x = self.subsampling(self._normalised(frames))
        left = self.config.left_frames
        copies = self._copies(x.shape[1] // 2, chunk)
        if copies is None:
            masks = (
                chunk_mask(x.shape[1], 2 * chunk, 2 * left, lengths // STRIDE),
                chunk_mask(x.shape[1] // 2, chunk, left, lengths // FRAMES_PER_STEP),
            )
            below = above = None
        else:
            below, above = copies
            masks = below.mask(2 * left, lengths // STRIDE), above.mask(left, lengths // FRAMES_PER_STEP)
            x = below.spread(x)
        for layer in self.lower:
            x = apply(layer, x, masks[0], below)
        lower, x = x, self.stacking(x)  # a pair of frames is never of two chunks
        for layer in self.upper:
            x = apply(layer, x, masks[1], above)
        return (lower, x) if below is None or above is None else (below.gather(lower), above.gather(x))

    def _copies(self, frames: int, chunk: Any) -> tuple[ChunkCopies, ChunkCopies] | None:
        """Look-ahead at 40 and at 80 ms, for a recording of so many frames of 80 ms; None: there is none to see."""
        ahead = self.config.lookahead_frames
        if not ahead:
            return None
        if not isinstance(chunk, int):
            raise ValueError(f"chunk: expected a Python int, for a model with look-ahead, got {type(chunk).__name__}")
        if chunk >= frames:
            return None
        return ChunkCopies(2 * frames, 2 * chunk, 2 * ahead), ChunkCopies(frames, chunk, ahead)

    def initial_state(self, batch: int) -> dict[str, Any]:
        """State of `batch` new streams; `seen` counts encoder frames, held at the window's size."""
        state = {layer.name: layer.initial_state(batch) for layer in self.lower + self.upper}
        seen = ops.zeros((batch,), "int32")
        return {"layers": state, "subsampling": self.subsampling.initial_state(batch), "seen": seen}

    def step(self, frames: Any, state: dict[str, Any], valid: Any = None) -> tuple[Any, Any, dict[str, Any]]:
        """Encodes the next chunk of each stream.

        Args:
            frames: [B, T, 80] log-mel of the chunk, with look-ahead those of the `lookahead_frames` after it too: they
                come again with the next chunk.
            state: From `initial_state` or the step before.
            valid: [B] int32, encoder frames that exist, look-ahead included; None: all.

        Returns:
            The chunk's lower frames [B, 2C, D] and upper frames [B, C, D], and the next state.
        """
        ahead, normalised = self.config.lookahead_frames, self._normalised(frames)
        own = frames.shape[1] - FRAMES_PER_STEP * ahead
        x, subsampling = self.subsampling.step(normalised[:, :own], state["subsampling"])
        if ahead:
            x = ops.concatenate([x, self.subsampling.step(normalised[:, own:], subsampling)[0]], axis=1)
        layers, seen = {}, state["seen"]
        lower_valid = None if valid is None else 2 * valid
        for layer in self.lower:
            x, layers[layer.name] = layer.step(x, state["layers"][layer.name], 2 * seen, lower_valid, 2 * ahead)
        lower, x = x[:, : own // STRIDE], self.stacking(x)
        for layer in self.upper:
            x, layers[layer.name] = layer.step(x, state["layers"][layer.name], seen, valid, ahead)
        upper = x[:, : own // FRAMES_PER_STEP]
        seen = ops.minimum(seen + upper.shape[1], self.config.left_frames)
        return lower, upper, {"layers": layers, "subsampling": subsampling, "seen": seen}
