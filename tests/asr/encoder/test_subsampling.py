"""Subsampling: shapes, causality, streams in any cut, and the convolution by its definition."""

from collections.abc import Callable

import numpy as np
import pytest
from keras import ops

from asr.encoder.subsampling import ConvSubsampling, FrameStacking

DIM, CHANNELS = 8, 3


@pytest.fixture
def subsampling(randomised: Callable) -> ConvSubsampling:
    made = ConvSubsampling(DIM, CHANNELS)
    made.build((None, None, 80))
    randomised(made, 0)
    return made


def whole(subsampling: ConvSubsampling, frames: np.ndarray) -> np.ndarray:
    return np.asarray(subsampling(ops.convert_to_tensor(frames)))


def normalised(x: np.ndarray, layer: ConvSubsampling | FrameStacking) -> np.ndarray:
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * np.asarray(layer.scale) + np.asarray(layer.offset)


def convolved(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """3 x 3 taps at stride 2 over [T, F, C], one row of zeros before in time, one on both sides in frequency."""
    x = np.pad(x, ((1, 0), (1, 1), (0, 0)))
    rows, columns = (x.shape[0] - 1) // 2, (x.shape[1] - 2) // 2
    y = np.zeros((rows, columns, kernel.shape[3])) + bias
    for i in range(rows):
        for j in range(columns):
            y[i, j] += np.einsum("tfc,tfco->o", x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3], kernel)
    return np.maximum(y, 0.0)


def test_equals_the_convolution_by_its_definition(subsampling: ConvSubsampling, mel: Callable) -> None:
    frames = mel(1, 12)
    x = convolved(frames[0, :, :, None], np.asarray(subsampling.kernel1), np.asarray(subsampling.bias1))
    x = convolved(x, np.asarray(subsampling.kernel2), np.asarray(subsampling.bias2))
    expected = normalised(x.reshape(3, -1) @ np.asarray(subsampling.project), subsampling)
    np.testing.assert_allclose(whole(subsampling, frames)[0], expected, atol=1e-4)


@pytest.mark.parametrize("chunk", [4, 8, 12, 16, 48])
def test_streaming_equals_whole(chunk: int, subsampling: ConvSubsampling, mel: Callable) -> None:
    frames, parts = mel(2, 48), []
    state = subsampling.initial_state(2)
    for start in range(0, 48, chunk):
        part, state = subsampling.step(ops.convert_to_tensor(frames[:, start : start + chunk]), state)
        parts.append(np.asarray(part))
    result = np.concatenate(parts, axis=1)
    assert result.shape == (2, 12, DIM)
    np.testing.assert_allclose(result, whole(subsampling, frames), atol=1e-5)


@pytest.mark.parametrize("frame", [0, 3, 4, 11])
def test_output_hears_up_to_its_last_frame(frame: int, subsampling: ConvSubsampling, mel: Callable) -> None:
    frames = mel(1, 16)
    changed = frames.copy()
    changed[:, frame:] += 3.0
    same = np.all(whole(subsampling, changed) == whole(subsampling, frames), axis=(0, 2))
    assert same.tolist() == [4 * i + 3 < frame for i in range(4)]


def test_part_of_a_stride_is_refused(subsampling: ConvSubsampling, mel: Callable) -> None:
    with pytest.raises(ValueError, match="expected a number of log-mel frames that is a multiple of 4, got 6"):
        subsampling.step(ops.convert_to_tensor(mel(1, 6)), subsampling.initial_state(1))


def test_stacking_projects_pairs(randomised: Callable) -> None:
    stacking = FrameStacking(DIM)
    stacking.build((None, None, 5))
    randomised(stacking, 1)
    x = np.random.default_rng(0).normal(size=(2, 6, 5)).astype(np.float32)
    pairs = np.concatenate([x[:, ::2], x[:, 1::2]], axis=-1)
    expected = normalised(pairs @ np.asarray(stacking.project), stacking)
    np.testing.assert_allclose(np.asarray(stacking(ops.convert_to_tensor(x))), expected, atol=1e-5)
