"""The training step on TensorFlow."""

from typing import Any

import tensorflow as tf
from keras import ops

from asr.fused import allow_concurrent_runs
from asr.training.config import TrainConfig
from asr.training.kinds import AnyModel
from asr.training.optimiser import hidden_matrices, moments, move, orthogonal, zero_slots
from asr.training.schedule import fading
from asr.training.seeds import seed_variables, seeds_at


class TensorFlowStep:
    """Forward, backward and update. Matrix products run in oneDNN, the rest as fused kernels (see `asr.fused`).

    Args:
        model: What is trained.
        config: Losses and optimiser.
    """

    def __init__(self, model: AnyModel, config: TrainConfig) -> None:
        """Makes the optimiser's slots."""
        allow_concurrent_runs()  # of the batch's parts
        self.model, self.config = model, config
        self.variables = [v.value for v in model.trainable_variables]
        self.names = [v.path for v in model.trainable_variables]
        self._generators = seed_variables(model)
        self.slots = {
            slot: [tf.Variable(x, trainable=False) for x in values]
            for slot, values in zero_slots(model.trainable_variables).items()
        }
        self._gradients = tf.function(self._compute, autograph=False)
        self.hidden = hidden_matrices(model.trainable_variables, config.schedule)
        self._moments = tf.function(self._update_moments, jit_compile=True, autograph=False)
        # Not by XLA, whose products in bfloat16 are slow on CPUs.
        self._orthogonal = tf.function(lambda d: orthogonal(d, self.hidden), autograph=False)
        self._move = tf.function(self._move_weights, jit_compile=True, autograph=False)

    def __call__(
        self, batch: dict[str, Any], chunk: int, block: int | None, step: int, rate: float, delay_penalty: float
    ) -> dict[str, float]:
        """Trains on one batch; returns the losses by name and the gradient's norm."""
        loss, seed = self.config.loss, self.config.schedule.seed
        for variable, state in zip(self._generators, seeds_at(len(self._generators), seed, step), strict=True):
            variable.assign(state)
        # Faded out, a prior is still a tensor (0), so that nothing is traced anew.
        priors = [tf.constant(fading(step, n)) if n else None for n in (loss.prior_steps, loss.guide_steps)]
        # A chunk that is a tensor traces nothing anew; copies of the look-ahead need to know it.
        known = chunk if self.config.model.lookahead_frames else tf.constant(chunk)
        losses, gradients = self._gradients(batch, known, block, delay_penalty, priors)
        count = tf.constant(step + 1.0)
        directions, norm = self._moments(gradients, count)
        if any(self.hidden):
            directions = self._orthogonal(directions)
        self._move(directions, count, tf.constant(rate), norm)
        return {name: float(value) for name, value in losses.items()} | {"norm": float(norm)}

    def _compute(self, batch: dict[str, Any], chunk: Any, block: int | None, delay_penalty: float, priors: Any) -> Any:
        """Losses and gradients, of the batch's parts side by side: they run at the same time on several cores."""
        parts, views = self.config.schedule.parts, self.config.loss.views
        if any(value.shape[0] % (parts * (1 if "text" in name else views)) for name, value in batch.items()):
            parts = 1  # copies of one utterance stay together
        found = []
        for k in range(parts):  # text has rows of its own
            rows = {name: value.shape[0] // parts for name, value in batch.items()}
            part = {name: value[k * rows[name] : (k + 1) * rows[name]] for name, value in batch.items()}
            found.append(self._part(part, chunk, block, delay_penalty, priors))
        losses = {name: tf.add_n([f[0][name] for f in found]) / parts for name in found[0][0]}
        gradients = [tf.add_n(list(g)) / parts for g in zip(*(f[1] for f in found), strict=True)]
        return losses, gradients

    def _part(self, batch: dict[str, Any], chunk: Any, block: int | None, delay_penalty: float, priors: Any) -> Any:
        weights = self.config.loss
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(self.variables)
            losses = self.model.losses_of(
                batch,
                chunk,
                block,
                objective=weights.objective,
                delay_penalty=delay_penalty,
                prior_weight=priors[0],
                guide_weight=priors[1],
                heads=weights.heads,
                paired=weights.views == 2,
                training=True,
            )
            total = sum(getattr(weights, name) * loss for name, loss in losses.items())
        gradients = tape.gradient(total, self.variables)
        return losses, [
            tf.zeros_like(v) if g is None else tf.convert_to_tensor(g)
            for g, v in zip(gradients, self.variables, strict=True)
        ]

    def _update_moments(self, gradients: list[Any], count: Any) -> Any:
        slots = {name: [ops.convert_to_tensor(v) for v in values] for name, values in self.slots.items()}
        directions, new, norm = moments(gradients, slots, count, self.config.schedule, self.hidden)
        for name, values in new.items():
            _assign(self.slots[name], values)
        return directions, norm

    def _move_weights(self, directions: list[Any], count: Any, rate: Any, norm: Any) -> None:
        weights = [ops.convert_to_tensor(v) for v in self.variables]
        averages = [ops.convert_to_tensor(v) for v in self.slots["average"]]
        moved, averages = move(weights, directions, averages, count, rate, norm, self.config.schedule)
        _assign(self.variables, moved)
        _assign(self.slots["average"], averages)


def _assign(variables: list[Any], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
