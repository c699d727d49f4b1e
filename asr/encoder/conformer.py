"""A causal conformer layer (Gulati et al. 2020, 2005.08100), for whole recordings and for streams.

Differences from the paper: attention is windowed (`asr.attention.windowed`), the depthwise convolution is causal and
written as shifted multiply-adds, batch normalisation is layer normalisation, so that nothing depends on other streams.
"""

from typing import Any

import keras
from keras import ops

from asr.attention.windowed import WindowedSelfAttention
from asr.attention.windowed_area import WindowedAreaAttention
from asr.encoder.lookahead import ChunkCopies
from asr.encoder.normalisation import add_and_norm, layer_norm, normalise
from asr.fused import fused


@fused
def _silu(x: Any, bias: Any) -> Any:
    return ops.silu(x + bias)


@fused
def _gated_convolution(gated: Any, past: Any, kernel: Any, scale: Any, offset: Any) -> tuple[Any, Any]:
    """Gate, causal depthwise convolution, norm, SiLU; also the inputs that the next chunk needs.

    gated [B, S, 2D], past [B, k - 1, D], kernel [k, D] -> [B, S, D], [B, k - 1, D].
    """
    x = ops.concatenate([ops.cast(past, "float32"), _gate(gated)], axis=1)
    taps, frames = kernel.shape[0], gated.shape[1]
    kernel = ops.cast(kernel, "float32")
    y = sum(x[:, i : i + frames] * kernel[i] for i in range(taps))
    y = ops.silu(normalise(y, scale, offset))
    return ops.cast(y, gated.dtype), ops.cast(x[:, frames:], gated.dtype)


def _gate(gated: Any) -> Any:
    """Inputs of the depthwise convolution: [B, S, 2D] -> [B, S, D] float32."""
    value, gate = ops.split(ops.cast(gated, "float32"), 2, axis=-1)
    return value * ops.sigmoid(gate)


class ConformerLayer(keras.layers.Layer):
    """Half feed-forward, windowed self-attention, causal convolution, half feed-forward, norm.

    Args:
        dim: D, width.
        heads: H, attention heads.
        feed_forward: Hidden width of each feed-forward, as a multiple of D.
        kernel: k, frames of the depthwise convolution (its frame and k - 1 before).
        left: L, frames of the attention's left window.
        dropout: Rate at which a branch is without a channel for a whole recording, in training (the same mask at all
            times: Gal and Ghahramani 2016, 1512.05287).
        drop_path: Rate at which a recording skips a branch, in training (Huang et al. 2016, 1603.09382).
        span: Frames of the largest area that the attention sees as one; None: single frames, as in the paper.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        feed_forward: int,
        kernel: int,
        left: int,
        dropout: float = 0.0,
        drop_path: float = 0.0,
        span: int | None = None,
        **kwargs: Any,
    ) -> None:
        """Keeps the sizes; weights are made in `build`."""
        super().__init__(**kwargs)
        self.dim, self.hidden, self.kernel = dim, dim * feed_forward, kernel
        self.dropout, self.drop_path = dropout, drop_path
        if span is None:
            self.attention = WindowedSelfAttention(dim, heads, left, name="attention")
        else:
            self.attention = WindowedAreaAttention(dim, heads, left, span, name="attention")
        self.seed = keras.random.SeedGenerator()

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs [B, S, D]."""
        dim, hidden = self.dim, self.hidden
        self.attention.build(input_shape)
        matrices = {"in1": (dim, hidden), "out1": (hidden, dim), "in2": (dim, hidden), "out2": (hidden, dim)}
        matrices |= {"gate": (dim, 2 * dim), "point": (dim, dim)}
        self.w = {name: self.add_weight(shape=shape, name=name) for name, shape in matrices.items()}
        self.w["taps"] = self.add_weight(
            shape=(self.kernel, dim), name="taps", initializer=keras.initializers.VarianceScaling(2.0, "fan_in")
        )
        for name, size in {"in1": hidden, "out1": dim, "in2": hidden, "out2": dim, "attend": dim, "point": dim}.items():
            self.w[f"{name}_bias"] = self.add_weight(shape=(size,), initializer="zeros", name=f"{name}_bias")
        for norm in ("ff1", "attend", "conv", "mid", "ff2", "last"):
            self.w[f"{norm}_scale"] = self.add_weight(shape=(dim,), initializer="ones", name=f"{norm}_scale")
            self.w[f"{norm}_offset"] = self.add_weight(shape=(dim,), initializer="zeros", name=f"{norm}_offset")

    def call(self, x: Any, mask: Any, training: bool = False, copies: ChunkCopies | None = None) -> Any:
        """Whole recordings: x [B, S, D], mask [B, S, S] -> [B, S, D]; or all their places, with look-ahead."""
        return self._whole(x, mask, training, copies)[0]

    def look(self, x: Any, mask: Any, copies: ChunkCopies | None = None) -> tuple[Any, Any]:
        """As `call`, with the attention's weights by frame, [B, H, S, S]."""
        x, weights = self._whole(x, mask, training=False, copies=copies)
        return x, weights if copies is None else copies.frame_weights(weights)

    def _whole(self, x: Any, mask: Any, training: bool, copies: ChunkCopies | None) -> tuple[Any, Any]:
        """The layer's output and its attention's weights."""
        found: dict[str, Any] = {}

        def attend(h: Any) -> Any:
            attended = self.attention(h, mask=mask) if copies is None else self.attention.at(h, mask, copies.places)
            output, found["weights"] = attended
            return output

        def convolve(gated: Any) -> tuple[Any, Any]:
            if copies is None:
                past = ops.zeros((x.shape[0], self.kernel - 1, self.dim), x.dtype)
                return self._convolve(gated, past)
            past = copies.before(_gate(gated), self.kernel - 1)
            h, past = self._convolve(copies.chunks(gated), past)
            return ops.reshape(h, (-1, len(copies.places), self.dim)), past

        return self._layer(x, attend, convolve, training)[0], found["weights"]

    def initial_state(self, batch: int) -> dict[str, Any]:
        """State of `batch` new streams."""
        past = ops.zeros((batch, self.kernel - 1, self.dim), self.compute_dtype)
        return {"attention": self.attention.initial_state(batch), "convolution": past}

    def step(
        self, x: Any, state: dict[str, Any], seen: Any, valid: Any = None, ahead: int = 0
    ) -> tuple[Any, dict[str, Any]]:
        """The next chunk of each stream: x [B, C, D] -> [B, C, D] and the next state.

        `seen` [B] counts the frames before the chunk, `valid` [B] those of the chunk that exist (None: all); the last
        `ahead` are look-ahead, and come again with the next chunk.
        """
        cache: dict[str, Any] = {}

        def attend(h: Any) -> Any:
            output, cache["attention"] = self.attention.step(h, state["attention"], seen, valid, ahead)
            return output

        def convolve(gated: Any) -> tuple[Any, Any]:
            h, past = self._convolve(gated, state["convolution"])
            if not ahead:
                return h, past
            own = _gate(gated[:, :-ahead])
            return h, ops.concatenate([state["convolution"], ops.cast(own, past.dtype)], axis=1)[:, own.shape[1] :]

        y, past = self._layer(x, attend, convolve, training=False)
        return y, {"attention": cache["attention"], "convolution": past}

    def _convolve(self, gated: Any, past: Any) -> tuple[Any, Any]:
        return _gated_convolution(gated, past, self.w["taps"], *self._norm("mid"))

    def _norm(self, name: str) -> tuple[Any, Any]:
        return self.w[f"{name}_scale"], self.w[f"{name}_offset"]

    def _feed_forward(self, h: Any, n: int) -> Any:
        h = _silu(ops.matmul(h, self.w[f"in{n}"]), self._cast(f"in{n}_bias"))
        return ops.matmul(h, self.w[f"out{n}"])

    def _cast(self, name: str) -> Any:
        return ops.cast(self.w[name], self.compute_dtype)

    def _branch_weight(self, x: Any, weight: float, training: bool) -> Any:
        """The residual branch's weight, [B, 1, 1 or D] when recordings may skip it or channels of it, else a scalar.

        One mask for all times is part of the residual sum; one for each frame is a pass of its own, and as many random
        numbers as values.
        """
        kept = ops.convert_to_tensor(weight, "float32")
        for rate, size in ((self.drop_path, 1), (self.dropout, self.dim)):
            if training and rate > 0.0:
                drawn = keras.random.uniform((x.shape[0], 1, size), seed=self.seed)
                kept = kept * ops.cast(drawn >= rate, "float32") / (1.0 - rate)
        return kept

    def _layer(self, x: Any, attend: Any, convolve: Any, training: bool) -> tuple[Any, Any]:
        def add(x: Any, h: Any, bias: str, weight: float, norm: str) -> tuple[Any, Any]:
            scale = self._branch_weight(x, weight, training)
            return add_and_norm(x, h, self._cast(f"{bias}_bias"), scale, *self._norm(norm))

        h = self._feed_forward(layer_norm(x, *self._norm("ff1")), 1)
        x, h = add(x, h, "out1", 0.5, "attend")
        x, h = add(x, attend(h), "attend", 1.0, "conv")
        h, past = convolve(ops.matmul(h, self.w["gate"]))
        x, h = add(x, ops.matmul(h, self.w["point"]), "point", 1.0, "ff2")
        _, y = add(x, self._feed_forward(h, 2), "out2", 0.5, "last")
        return y, past
