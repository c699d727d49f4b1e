"""A language model's training: `asr train-lm CONFIG`. It stops anywhere and resumes there."""

import dataclasses
import logging
import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from asr.errors import CheckpointError
from asr.language.config import FusionWeights, LanguageTrainConfig
from asr.language.corpus import TextCorpus, load_texts, with_start
from asr.language.files import NAME, save_language, tokenizer_hash
from asr.language.model import RecurrentLanguageModel
from asr.tokenizer import read_tokenizer
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


class _Trained(keras.Model):
    """The language model with Keras's training step around it."""

    def __init__(self, language: RecurrentLanguageModel) -> None:
        super().__init__(name="trained")
        self.language = language

    def call(self, inputs: Any) -> Any:
        return self.language(inputs)


class LanguageTrainer:
    """Trains a recurrent language model.

    Args:
        config: What to train.
        base: Folder that the config's paths are relative to.
        run: Folder of checkpoints and of the finished `language.npz`; made if missing.

    Raises:
        ConfigError: if a text cannot be read or does not fit the configuration.
        CheckpointError: if the tokenizer or the newest checkpoint cannot be read, or is of another configuration.
    """

    def __init__(self, config: LanguageTrainConfig, base: Path, run: Path) -> None:
        """Reads the texts, makes the model and loads the newest checkpoint, if there is one."""
        self.config, self.run = config, run
        self.tokenizer = read_tokenizer(base / config.tokenizer)
        if len(self.tokenizer) != config.model.vocabulary:
            expected = config.model.vocabulary
            raise CheckpointError(f"expected a tokenizer of {expected} wordpieces, got {len(self.tokenizer)}")
        self.corpus: TextCorpus = load_texts(config, base, self.tokenizer)
        keras.utils.set_random_seed(config.seed)
        self.language = RecurrentLanguageModel(config.model, dtype="mixed_bfloat16")
        self._model = _Trained(self.language)
        self._optimiser = keras.optimizers.Adam(_schedule(config), beta_2=0.98, global_clipnorm=1.0, name="adam")
        self._optimiser.build(self._model.trainable_variables)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
        # Matrix products in bfloat16 are slow in XLA on CPUs; what lies between them is compiled all the same.
        self._model.compile(self._optimiser, loss, jit_compile=keras.backend.backend() == "jax")
        self.step = 0
        self.stop_requested = False
        self._resume()

    def train(self, until: float | None = None) -> None:
        """Trains to the last step, or to the time `until` (of `time.time`); writes the model at its end."""
        config = self.config
        recent: list[float] = []
        began, saved = time.perf_counter(), time.perf_counter()
        for targets in self.corpus.batches(config, self.step):
            if self.step >= config.steps or self.stop_requested or (until is not None and time.time() > until):
                break
            recent.append(self._train_step(targets))
            if self.step % config.log_steps == 0:
                rate = len(recent) * targets.size / (time.perf_counter() - began)
                log.info("step %d: %.3f nats per piece, %.0f pieces/s", self.step, float(np.mean(recent)), rate)
                recent, began = [], time.perf_counter()
            if time.perf_counter() - saved > 60 * config.checkpoint_minutes:
                self.save()
                saved = time.perf_counter()
        self.save()

    def _train_step(self, targets: Any) -> float:
        start = self.corpus.start
        known = targets != start
        labels = np.where(known, targets, 0).astype(np.int32)
        loss = self._model.train_on_batch(with_start(targets, start), labels, known.astype(np.float32))
        self.step += 1
        return float(loss)

    def evaluate(self) -> dict[str, float]:
        """Of the held-out sentences: nats per piece and per word, and perplexity per word."""
        corpus, total, pieces = self.corpus, 0.0, 0
        ordered = sorted(corpus.held_out, key=len)
        for first in range(0, len(ordered), self.config.rows):
            batch = ordered[first : first + self.config.rows]
            targets = np.full((len(batch), -(-len(batch[-1]) // 32) * 32), corpus.start, np.int16)
            for row, sentence in enumerate(batch):
                targets[row, : len(sentence)] = sentence
            log_probs = keras.ops.log_softmax(self.language(with_start(targets, corpus.start)), axis=-1)
            known = targets != corpus.start
            chosen = np.where(known, targets, 0)[..., None].astype(np.int64)
            total -= float(np.take_along_axis(np.asarray(log_probs), chosen, axis=-1)[..., 0][known].sum())
            pieces += int(known.sum())
        per_word = total / corpus.held_out_words
        return {"nats_per_piece": total / pieces, "nats_per_word": per_word, "word_perplexity": math.exp(per_word)}

    def save(self) -> None:
        """Writes a checkpoint of all that the run needs to go on, and the model as it is, with its scores."""
        scores = self.evaluate()
        log.info(
            "step %d: held out %.3f nats per piece, %.3f per word, word perplexity %.1f", self.step, *scores.values()
        )
        weights = weights_of(self.language.variables)
        arrays = {f"weights/{path}": value for path, value in weights.items()}
        arrays |= {f"optimiser/{v.path}": np.asarray(v) for v in self._optimiser.variables}
        tokenizer = tokenizer_hash(self.tokenizer)
        meta = {"step": self.step, "language": dataclasses.asdict(self.config.model), "tokenizer": tokenizer}
        save_arrays(checkpoint_path(self.run, self.step), arrays, meta)
        prune(self.run, KEPT)
        about = {"step": self.step, **scores}
        save_language(self.run / NAME, self.config.model, self.tokenizer, weights, FusionWeights(), about)

    def _resume(self) -> None:
        steps = checkpoint_steps(self.run)
        if not steps:
            return
        path = checkpoint_path(self.run, steps[-1])
        arrays, meta = load_arrays(path)
        if meta.get("tokenizer") != tokenizer_hash(self.tokenizer):
            raise CheckpointError(f"{path}: expected a run with this tokenizer, got one with another")
        assign_weights(self.language.variables, part(arrays, "weights"), str(path))
        stored = part(arrays, "optimiser")
        for variable in self._optimiser.variables:
            if variable.path not in stored:
                raise CheckpointError(f"{path}: expected optimiser/{variable.path}, found none")
            variable.assign(stored[variable.path])
        self.step = int(meta["step"])
        log.info("resumed at step %d", self.step)


def _schedule(config: LanguageTrainConfig) -> Any:
    """Linear warm-up, then a cosine to zero."""
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        max(1, config.steps - config.warmup),
        warmup_target=config.learning_rate,
        warmup_steps=config.warmup,
    )
