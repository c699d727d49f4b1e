"""Training steps on JAX: python step_on_jax.py WEIGHTS.npz OUT.npz.

Takes a tiny model's weights from the first file; writes what became of them, and the losses.
"""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from asr.config import from_dict
from asr.training.checkpoint import assign_weights
from asr.training.config import TrainConfig
from asr.transducer.model import Transducer

CONFIG: dict[str, Any] = {
    "model": {
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
        "label_dropout": 0.0,
        "phonemes": 5,
    },
    "loss": {"prior_steps": 10, "guide_steps": 10, "text": 0.5, "phonemes": 0.3, "crf": 1.0},
    "data": {"texts": ["a.txt"], "pronunciations": "said.json"},
    "schedule": {"mixed_precision": False},
}

BIGRAM = np.random.default_rng(2).dirichlet(np.ones(5), 5).astype(np.float32)


def example() -> dict[str, NDArray[Any]]:
    """Four recordings of up to 0.64 s."""
    rng = np.random.default_rng(1)
    return {
        "frames": rng.normal(size=(4, 64, 80)).astype(np.float32),
        "frame_lengths": np.array([64, 40, 64, 56], np.int32),
        "characters": rng.integers(0, 28, (4, 5)).astype(np.int32),
        "character_lengths": np.array([5, 3, 4, 1], np.int32),
        "pieces": rng.integers(0, 11, (4, 3)).astype(np.int32),
        "piece_lengths": np.array([3, 2, 2, 0], np.int32),
        "piece_places": np.tile(np.array([[0.2, 0.5, 0.8]], np.float32), (4, 1)),
        "phonemes": rng.integers(0, 5, (4, 5)).astype(np.int32),
        "phoneme_lengths": np.array([5, 3, 4, 1], np.int32),
        "text": rng.integers(0, 11, (6, 7)).astype(np.int32),
        "text_lengths": np.array([7, 2, 5, 1, 7, 3], np.int32),
    }


def train(step: Any) -> dict[str, NDArray[Any]]:
    """Losses and the gradients' norm of two steps on one batch, and what the second made of the first's weights."""
    found: dict[str, NDArray[Any]] = {}
    for number in range(2):
        values = step(example(), 4, 4, step=number, rate=1e-3, delay_penalty=0.0)
        found |= {f"{name} {number}": np.asarray(value) for name, value in values.items()}
    for slot, values in {"weights": step.variables, **step.slots}.items():
        found |= {f"{slot}/{n}": np.asarray(v).copy() for n, v in zip(step.names, values, strict=True)}
    return found


def main(weights: Path, output: Path) -> None:
    """Trains on all devices there are."""
    from asr.training.step_jax import JaxStep, distribute  # needs Keras on JAX

    config = from_dict(TrainConfig, CONFIG)
    devices = distribute()
    model = Transducer(config.model, bigram=BIGRAM)
    with np.load(weights) as stored:
        assign_weights(model.variables, dict(stored), "test")
    step = JaxStep(model, config)
    results = train(step)
    first = (step.variables[0], step.slots["first"][0])
    results["devices"] = np.array([devices, *(len(v.value.devices()) for v in first)])
    np.savez(output, **results)


if __name__ == "__main__":
    assert keras.backend.backend() == "jax"
    main(Path(sys.argv[1]), Path(sys.argv[2]))
