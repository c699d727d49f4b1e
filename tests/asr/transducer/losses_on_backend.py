"""A tiny transducer's losses on the Keras backend that runs this: python losses_on_backend.py OUT.npz."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from asr.config import ModelConfig
from asr.transducer.model import Transducer

SIZES = {
    "dim": 32,
    "heads": 2,
    "lower_layers": 1,
    "upper_layers": 1,
    "channels": 4,
    "left_frames": 8,
    "lookback_frames": 4,
    "predictor_dim": 24,
    "joint_dim": 32,
    "vocabulary": 11,
}


def example() -> dict[str, NDArray[Any]]:
    """Three recordings of up to 1.28 s, as `Transducer.losses_of` takes them."""
    rng = np.random.default_rng(1)
    return {
        "frames": rng.normal(size=(3, 128, 80)).astype(np.float32),
        "frame_lengths": np.array([128, 70, 20], np.int32),
        "characters": rng.integers(0, 28, (3, 8)).astype(np.int32),
        "character_lengths": np.array([8, 5, 2], np.int32),
        "pieces": rng.integers(0, 11, (3, 4)).astype(np.int32),
        "piece_lengths": np.array([4, 2, 0], np.int32),
        "piece_places": np.array([[0.1, 0.4, 0.6, 0.9], [0.3, 0.7, 0.0, 0.0], [0.0] * 4], np.float32),
        "text": rng.integers(0, 11, (5, 6)).astype(np.int32),
        "text_lengths": np.array([6, 1, 0, 4, 6], np.int32),
    }


def model_of(**options: Any) -> Transducer:
    """A transducer whose weights are the same on every backend."""
    model = Transducer(ModelConfig(**SIZES, **options))
    for weight in model.trainable_variables:
        rng = np.random.default_rng([*weight.path.encode()])
        weight.assign(rng.normal(0.0, 0.2, weight.shape).astype(np.float32))
    return model


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """On JAX in one program, which is quicker than each operation by itself."""
    if keras.backend.backend() != "jax":
        return function
    import jax

    return jax.jit(function)


def losses() -> dict[str, NDArray[Any]]:
    """Losses by objective and name."""
    found = {}
    batch = {name: keras.ops.convert_to_tensor(value) for name, value in example().items()}
    for objective, feedback in (("full_sum", False), ("viterbi", False), ("viterbi", True)):
        model = model_of(context_feedback=feedback)
        values = _compiled(functools.partial(model.losses_of, chunk=4, block=4, objective=objective))(batch)
        found |= {f"{objective} {feedback} {name}": np.asarray(value) for name, value in values.items()}
    return found


if __name__ == "__main__":
    np.savez(Path(sys.argv[1]), **losses())
