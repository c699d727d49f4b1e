"""What training on text has in common: it stops anywhere and resumes there."""

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from asr.errors import CheckpointError
from asr.language.config import TextTrainConfig
from asr.language.corpus import TextCorpus
from asr.training.checkpoint import (
    assign_weights,
    checkpoint_path,
    checkpoint_steps,
    load_arrays,
    part,
    prune,
    save_arrays,
    weights_of,
)

log = logging.getLogger(__name__)

KEPT = 2  # checkpoints


class TextTrainer(ABC):
    """Trains a model of text, step by step.

    Args:
        config: What to train.
        run: Folder of checkpoints and of the finished model; made if missing.
        corpus: Texts.
        layer: The language model, with its weights.
        optimiser: Of its weights.
        bound: What the run is bound to, kept in its checkpoints: a name and a hash.

    Raises:
        CheckpointError: if the newest checkpoint cannot be read, or is of another configuration.
    """

    unit = "piece"  # what a label is

    def __init__(
        self,
        config: TextTrainConfig,
        run: Path,
        corpus: TextCorpus,
        layer: keras.layers.Layer,
        optimiser: keras.optimizers.Optimizer,
        bound: tuple[str, str],
    ) -> None:
        """Loads the newest checkpoint, if there is one."""
        self._settings, self.run, self.corpus = config, run, corpus
        self._layer, self._optimiser, self._bound = layer, optimiser, bound
        self.step = 0
        self.stop_requested = False
        self._resume()

    @abstractmethod
    def train_step(self, targets: NDArray[np.int16]) -> float:
        """Learns from rows [B, U]; returns their nats per label."""

    @abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Scores of the held-out sentences."""

    @abstractmethod
    def write(self, weights: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
        """Writes the model as it is into the run's folder."""

    def train(self, until: float | None = None) -> None:
        """Trains to the last step, or to the time `until` (of `time.time`); writes the model at its end."""
        config = self._settings
        recent: list[float] = []
        began, saved = time.perf_counter(), time.perf_counter()
        for targets in self.corpus.batches(config, self.step):
            if self.step >= config.steps or self.stop_requested or (until is not None and time.time() > until):
                break
            recent.append(self.train_step(targets))
            self.step += 1
            if self.step % config.log_steps == 0:
                rate = len(recent) * targets.size / (time.perf_counter() - began)
                nats, unit = float(np.mean(recent)), self.unit
                log.info("step %d: %.3f nats per %s, %.0f %ss/s", self.step, nats, unit, rate, unit)
                recent, began = [], time.perf_counter()
            if time.perf_counter() - saved > 60 * config.checkpoint_minutes:
                self.save()
                saved = time.perf_counter()
        self.save()

    def save(self) -> None:
        """Writes a checkpoint of all that the run needs to go on, and the model as it is, with its scores."""
        scores = self.evaluate()
        told = ", ".join(f"{name} {score:.3f}" for name, score in scores.items())
        log.info("step %d: held out: %s", self.step, told)
        weights = weights_of(self._layer.variables)
        arrays = {f"weights/{path}": value for path, value in weights.items()}
        arrays |= {f"optimiser/{v.path}": np.asarray(v) for v in self._optimiser.variables}
        save_arrays(checkpoint_path(self.run, self.step), arrays, {"step": self.step, self._bound[0]: self._bound[1]})
        prune(self.run, KEPT)
        self.write(weights, {"step": self.step, **scores})

    def _resume(self) -> None:
        steps = checkpoint_steps(self.run)
        if not steps:
            return
        path = checkpoint_path(self.run, steps[-1])
        arrays, meta = load_arrays(path)
        name, value = self._bound
        if meta.get(name) != value:
            raise CheckpointError(f"{path}: expected a run with this {name}, got one with another")
        assign_weights(self._layer.variables, part(arrays, "weights"), str(path))
        stored = part(arrays, "optimiser")
        for variable in self._optimiser.variables:
            if variable.path not in stored:
                raise CheckpointError(f"{path}: expected optimiser/{variable.path}, found none")
            variable.assign(stored[variable.path])
        self.step = int(meta["step"])
        log.info("resumed at step %d", self.step)


def adam(config: TextTrainConfig) -> keras.optimizers.Optimizer:
    """Adam (Kingma and Ba 2015); its rate warms up linearly, then falls to zero as a cosine."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, config.steps - config.warmup),
        warmup_target=config.learning_rate,
        warmup_steps=config.warmup,
    )
    return keras.optimizers.Adam(schedule, beta_2=0.98, global_clipnorm=1.0, name="adam")
