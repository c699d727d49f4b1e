"""Losses and gradients of every objective on the Keras backend that runs this: python on_backend.py IN.npz OUT.npz."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from asr.objectives.consistency import pair_divergence
from asr.objectives.crf import crf_losses
from asr.objectives.ctc import ctc_loss
from asr.objectives.lattice import block_lattice_loss
from asr.objectives.viterbi import best_blocks, viterbi_loss


def _differentiated(loss_of: Callable[..., Any], inputs: list[Any], others: list[Any]) -> tuple[Any, list[Any]]:
    """Losses [B] and the gradients of their sum with respect to each input."""
    if keras.backend.backend() == "jax":
        import jax

        def total(inputs: list[Any]) -> tuple[Any, Any]:
            losses = loss_of(*inputs, *others)
            return losses.sum(), losses

        (_, losses), gradients = jax.jit(jax.value_and_grad(total, has_aux=True))(inputs)
        return losses, gradients
    import tensorflow as tf

    tensors = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        losses = loss_of(*tensors, *others)
        total = tf.reduce_sum(losses)
    return losses, tape.gradient(total, tensors)


def _crf(*arguments: Any) -> Any:
    return crf_losses(*arguments)[1]


def results(inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Every objective on arrays: logits, targets, frames, bigram; label, end, prior, blocks; labels."""
    labels = keras.ops.convert_to_tensor(inputs["labels"])
    blocks, targets, frames = (keras.ops.convert_to_tensor(inputs[name]) for name in ("blocks", "targets", "frames"))
    bigram = keras.ops.convert_to_tensor(inputs["bigram"])
    prior = keras.ops.convert_to_tensor(inputs["prior"])
    arcs = [inputs["label"], inputs["end"]]
    found: dict[str, NDArray[Any]] = {}
    for name, loss_of, arrays, others in (
        ("ctc", ctc_loss, [inputs["logits"]], [targets, frames, labels]),
        ("crf", _crf, [inputs["logits"]], [targets, frames, labels, bigram]),
        ("consistency", pair_divergence, [inputs["logits"][:2]], [frames[:2]]),
        ("full_sum", block_lattice_loss, arcs, [blocks, labels]),
        ("penalised", block_lattice_loss, arcs, [blocks, labels, 0.01]),
        ("prior", block_lattice_loss, arcs, [blocks, labels, 0.0, prior]),
        ("viterbi", viterbi_loss, arcs, [blocks, labels]),
    ):
        losses, gradients = _differentiated(loss_of, arrays, others)
        found[name] = np.asarray(losses)
        found |= {f"{name}_gradient_{i}": np.asarray(g) for i, g in enumerate(gradients)}
    tensors = [keras.ops.convert_to_tensor(x) for x in arcs]
    found["best_blocks"] = np.asarray(best_blocks(*tensors, blocks, labels))
    return found


if __name__ == "__main__":
    with np.load(Path(sys.argv[1])) as file:
        np.savez(Path(sys.argv[2]), **results(file))
