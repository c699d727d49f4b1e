"""Arcs of the block joint by every mechanism on the Keras backend that runs this: python ... IN.npz OUT.npz.

See `test_mechanisms.py`.
"""

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from asr.config import BLOCK_ATTENTIONS, ModelConfig
from asr.transducer.joint import BlockJoint

# As the tiny model of the tests.
SIZES: dict[str, Any] = {"dim": 32, "heads": 2, "predictor_dim": 32, "joint_dim": 32, "vocabulary": 11}
SIZES |= {"lookback_frames": 4, "attention_radius": 3, "attention_chunk": 3, "attention_span": 3}


def arcs(joint: BlockJoint, encoded: Any, states: Any) -> tuple[Any, Any]:
    """Log-probabilities of label 0 and of end-of-block, in blocks of 4 frames."""
    return joint(ops.convert_to_tensor(encoded), ops.convert_to_tensor(states), ops.zeros((2, 2), "int32"), block=4)


def main(source: Path, target: Path) -> None:
    """Reads weights and inputs, writes the arcs of every mechanism."""
    with np.load(source) as file:
        inputs = dict(file)
    found: dict[str, Any] = {"backend": keras.backend.backend()}
    for attention in BLOCK_ATTENTIONS:
        joint = BlockJoint(ModelConfig(**SIZES, attention=attention))
        joint.build((None, None, SIZES["dim"]))
        names = sorted(name for name in inputs if name.startswith(f"{attention} "))
        for weight, name in zip(joint.trainable_weights, names, strict=True):
            weight.assign(inputs[name])
        import jax

        both = jax.jit(lambda *x, joint=joint: arcs(joint, *x))(inputs["encoded"], inputs["states"])
        found[attention] = np.stack([np.asarray(x) for x in both])
    np.savez(target, **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
