"""Causal subsampling of log-mel frames: 10 ms to 40 ms by convolution, 40 ms to 80 ms by stacking."""

from typing import Any

import keras
from keras import ops

from asr.encoder.normalisation import layer_norm
from asr.features import MEL_BINS

STRIDE = 4  # log-mel frames per lower encoder frame


class ConvSubsampling(keras.layers.Layer):
    """Two 3 x 3 convolutions of stride 2 over (time, mel), then a projection: 10 ms frames to 40 ms frames.

    Causal: output i sees log-mel frames up to 4 i + 3. The last input row of each convolution is the stream's state.

    Args:
        dim: D, width of the output.
        channels: Channels of the convolutions.
    """

    def __init__(self, dim: int, channels: int, **kwargs: Any) -> None:
        """Keeps the sizes; weights are made in `build`."""
        super().__init__(**kwargs)
        self.dim, self.channels = dim, channels

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs [B, T, 80]."""
        channels, flat = self.channels, (MEL_BINS // 4) * self.channels
        self.kernel1 = self.add_weight(shape=(3, 3, 1, channels), name="kernel1")
        self.bias1 = self.add_weight(shape=(channels,), initializer="zeros", name="bias1")
        self.kernel2 = self.add_weight(shape=(3, 3, channels, channels), name="kernel2")
        self.bias2 = self.add_weight(shape=(channels,), initializer="zeros", name="bias2")
        self.project = self.add_weight(shape=(flat, self.dim), name="project")
        self.scale = self.add_weight(shape=(self.dim,), initializer="ones", name="scale")
        self.offset = self.add_weight(shape=(self.dim,), initializer="zeros", name="offset")

    def initial_state(self, batch: int) -> dict[str, Any]:
        """State of `batch` new streams: the last input row of each convolution."""
        return {
            "mel": ops.zeros((batch, 1, MEL_BINS, 1), self.compute_dtype),
            "middle": ops.zeros((batch, 1, MEL_BINS // 2, self.channels), self.compute_dtype),
        }

    def call(self, frames: Any) -> Any:
        """Whole recordings: normalised log-mel [B, T, 80], T a multiple of 4 -> [B, T / 4, D]."""
        return self.step(frames, self.initial_state(frames.shape[0]))[0]

    def step(self, frames: Any, state: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The next frames of each stream: [B, T, 80] -> [B, T / 4, D] and the next state.

        Raises:
            ValueError: if T is not a multiple of 4.
        """
        if frames.shape[1] % STRIDE:
            raise ValueError(f"expected a number of log-mel frames that is a multiple of 4, got {frames.shape[1]}")
        mel = ops.concatenate([state["mel"], ops.cast(frames[..., None], self.compute_dtype)], axis=1)
        x = self._convolve(mel, self.kernel1, self.bias1)  # [B, T / 2, 40, channels]
        middle = ops.concatenate([state["middle"], x], axis=1)
        x = self._convolve(middle, self.kernel2, self.bias2)  # [B, T / 4, 20, channels]
        x = ops.matmul(ops.reshape(x, (-1, x.shape[1], x.shape[2] * x.shape[3])), self.project)
        return layer_norm(x, self.scale, self.offset), {"mel": mel[:, -1:], "middle": middle[:, -1:]}

    @staticmethod
    def _convolve(x: Any, kernel: Any, bias: Any) -> Any:
        x = ops.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
        y = ops.conv(x, kernel, strides=2, padding="valid", data_format="channels_last")
        return ops.relu(y + ops.cast(bias, y.dtype))


class FrameStacking(keras.layers.Layer):
    """Joins pairs of frames and projects them: 40 ms to 80 ms. Keeps no state.

    Args:
        dim: D, width of the output.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        """Keeps the width; weights are made in `build`."""
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs [B, S, D]."""
        self.project = self.add_weight(shape=(2 * input_shape[-1], self.dim), name="project")
        self.scale = self.add_weight(shape=(self.dim,), initializer="ones", name="scale")
        self.offset = self.add_weight(shape=(self.dim,), initializer="zeros", name="offset")

    def call(self, x: Any) -> Any:
        """[B, S, D] -> [B, S / 2, D]."""
        pairs = ops.reshape(x, (-1, x.shape[1] // 2, 2 * x.shape[2]))
        return layer_norm(ops.matmul(pairs, self.project), self.scale, self.offset)
