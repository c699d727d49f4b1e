"""The training step on JAX: one compiled program from batch to new weights, for accelerators.

Several devices share each batch by `keras.distribution.DataParallel`: weights are on every device, a batch's rows are
divided among them, and XLA adds up the gradients. The result is that of one device.
"""

from typing import Any

import jax
import keras
import numpy as np

from asr.training.config import TrainConfig
from asr.training.kinds import AnyModel
from asr.training.optimiser import hidden_matrices, update, zero_slots
from asr.training.schedule import fading
from asr.training.seeds import seed_variables, seeds_at


class JaxStep:
    """Forward, backward and update in one program; weights and slots are updated where they lie.

    Args:
        model: What is trained; made after `distribute`, where there are several devices.
        config: Losses and optimiser. Its `parts` has no meaning here: a program uses all of a device.
    """

    def __init__(self, model: AnyModel, config: TrainConfig) -> None:
        """Makes the optimiser's slots; the first step of each shape compiles."""
        self.model, self.config = model, config
        self.variables = model.trainable_variables
        self.names = [v.path for v in self.variables]
        self.hidden = hidden_matrices(self.variables, config.schedule)
        self.slots = {
            slot: [_Slot(x, v) for x, v in zip(values, self.variables, strict=True)]
            for slot, values in zero_slots(self.variables).items()
        }
        self._generators = seed_variables(model)
        seeds = {v.path for v in self._generators}
        self._fixed = [v for v in model.non_trainable_variables if v.path not in seeds]
        static = ("known_chunk", "block", "delay_penalty")
        self._program = jax.jit(self._compute, static_argnames=static, donate_argnums=(0, 1))

    def __call__(
        self, batch: dict[str, Any], chunk: int, block: int | None, step: int, rate: float, delay_penalty: float
    ) -> dict[str, float]:
        """Trains on one batch; returns the losses by name and the gradient's norm."""
        loss, seed = self.config.loss, self.config.schedule.seed
        # Faded out, a prior is still an array (0), so that nothing is traced anew.
        priors = [np.float32(fading(step, n)) if n else None for n in (loss.prior_steps, loss.guide_steps)]
        inputs = {
            "batch": {name: _divided(np.asarray(value)) for name, value in batch.items()},
            "seeds": list(seeds_at(len(self._generators), seed, step)),
            "chunk": np.int32(chunk),
            "count": np.float32(step + 1),
            "rate": np.float32(rate),
            "priors": priors,
        }
        weights = [v.value for v in self.variables]
        slots = {name: [s.value for s in values] for name, values in self.slots.items()}
        fixed = [v.value for v in self._fixed]
        # A chunk that is an input compiles nothing anew; copies of the look-ahead need to know it.
        known = {"known_chunk": chunk if self.config.model.lookahead_frames else None, "block": block}
        weights, slots, values = self._program(weights, slots, fixed, inputs, **known, delay_penalty=delay_penalty)
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)
        for name, found in slots.items():
            for slot, value in zip(self.slots[name], found, strict=True):
                slot.value = value
        return {name: float(value) for name, value in values.items()}

    def _compute(
        self,
        weights: Any,
        slots: Any,
        fixed: Any,
        inputs: Any,
        *,
        known_chunk: int | None,
        block: int | None,
        delay_penalty: float,
    ) -> Any:
        """New weights, new slots, and the losses with the gradient's norm."""

        def total(weights: Any) -> tuple[Any, Any]:
            losses = self._losses(weights, fixed, inputs, known_chunk, block, delay_penalty)
            return sum(getattr(self.config.loss, name) * loss for name, loss in losses.items()), losses

        gradients, losses = jax.grad(total, has_aux=True)(weights)
        count, rate = inputs["count"], inputs["rate"]
        moved, new, norm = update(weights, gradients, slots, count, rate, self.config.schedule, self.hidden)
        return moved, new, losses | {"norm": norm}

    def _losses(
        self,
        weights: Any,
        fixed: Any,
        inputs: Any,
        known_chunk: int | None,
        block: int | None,
        delay_penalty: float,
    ) -> Any:
        """Losses of a batch as a function of the weights."""
        variables = [*self.variables, *self._fixed, *self._generators]
        values = [*weights, *fixed, *inputs["seeds"]]
        prior, guide = inputs["priors"]
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return self.model.losses_of(
                inputs["batch"],
                inputs["chunk"] if known_chunk is None else known_chunk,
                block,
                objective=self.config.loss.objective,
                delay_penalty=delay_penalty,
                prior_weight=prior,
                guide_weight=guide,
                heads=self.config.loss.heads,
                paired=self.config.loss.views == 2,
                training=True,
            )


class _Slot:
    """One array of the optimiser's state, laid out over the devices as its variable is."""

    def __init__(self, value: Any, variable: Any) -> None:
        self._sharding = variable.value.sharding
        self.assign(value)

    def assign(self, value: Any) -> None:
        """Sets the value; the array is copied, since a step consumes it."""
        self.value = jax.device_put(np.array(value, np.float32), self._sharding)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.value, dtype, copy=copy)


def distribute() -> int:
    """Shares batches among JAX's devices from here on, if there are several; returns their number."""
    devices = keras.distribution.list_devices()
    if len(devices) > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    return len(devices)


def _divided(array: Any) -> Any:
    """A batch's array, its rows divided among the devices."""
    distribution = keras.distribution.distribution()
    if distribution is None:
        return array
    layout = distribution.get_data_layout(array.shape)
    return keras.distribution.distribute_tensor(array, layout)
