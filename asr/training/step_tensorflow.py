"""The training step on TensorFlow."""

from typing import Any

import tensorflow as tf
from keras import ops

from asr.training.config import TrainConfig
from asr.training.optimiser import adamw, zero_slots
from asr.transducer.model import Transducer


class TensorFlowStep:
    """Forward, backward and update. Matrix products run in oneDNN, the rest as fused kernels (see `asr.fused`).

    Args:
        model: What is trained.
        config: Losses and optimiser.
    """

    def __init__(self, model: Transducer, config: TrainConfig) -> None:
        """Makes the optimiser's slots."""
        self.model, self.config = model, config
        self.variables = [v.value for v in model.trainable_variables]
        names = [v.path for v in model.trainable_variables]
        self.names = names
        self.slots = {
            slot: [tf.Variable(x, trainable=False) for x in values]
            for slot, values in zero_slots(model.trainable_variables).items()
        }
        self._gradients = tf.function(self._compute, autograph=False)
        self._update = tf.function(self._apply, jit_compile=True, autograph=False)

    def __call__(
        self, batch: dict[str, Any], chunk: int, block: int | None, step: int, rate: float, delay_penalty: float
    ) -> dict[str, float]:
        """Trains on one batch; returns the losses by name and the gradient's norm."""
        losses, gradients = self._gradients(batch, tf.constant(chunk), block, delay_penalty)
        norm = self._update(gradients, tf.constant(step + 1.0), tf.constant(rate))
        return {name: float(value) for name, value in losses.items()} | {"norm": float(norm)}

    def _compute(self, batch: dict[str, Any], chunk: Any, block: int | None, delay_penalty: float) -> Any:
        weights = self.config.loss
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            losses = self.model.losses_of(batch, chunk, block, delay_penalty=delay_penalty, training=True)
            total = sum(getattr(weights, name) * loss for name, loss in losses.items())
        gradients = tape.gradient(total, self.variables)
        gradients = [
            tf.zeros_like(v) if g is None else tf.convert_to_tensor(g)
            for g, v in zip(gradients, self.variables, strict=True)
        ]
        return losses, gradients

    def _apply(self, gradients: list[Any], step: Any, rate: Any) -> Any:
        weights = [ops.convert_to_tensor(v) for v in self.variables]
        slots = {name: [ops.convert_to_tensor(v) for v in values] for name, values in self.slots.items()}
        new_weights, new_slots, norm = adamw(weights, gradients, slots, step, rate, self.config.schedule)
        for variable, value in zip(self.variables, new_weights, strict=True):
            variable.assign(value)
        for name, values in new_slots.items():
            for variable, value in zip(self.slots[name], values, strict=True):
                variable.assign(value)
        return norm
