"""A training run: `asr train CONFIG`. It stops anywhere and resumes exactly there."""

import dataclasses
import json
import logging
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from asr.encoder.encoder import Encoder
from asr.errors import CheckpointError, ConfigError
from asr.model_folder import read_config
from asr.tokenizer import read_tokenizer
from asr.training.augmentation import FrameAugmenter, no_augmentation
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
from asr.training.config import TrainConfig
from asr.training.corpus import SILENCE, Corpus, load_corpus, phoneme_bigram
from asr.training.dev import word_error_rates
from asr.training.kinds import AnyModel, make_decoder, make_model
from asr.training.plan import TrainingBatches
from asr.training.record import RunRecord
from asr.training.schedule import chunk_of, learning_rate
from asr.training.stored import StoredEncoder, stored_frames
from asr.transducer.joint import MAX_BLOCK

WORDPIECE_PARTS = ("predictor", "joint", "pieces", "decoder")  # whose weights are of wordpieces by their number
PHONEME_PARTS = ("phonemes",)  # likewise of phonemes

log = logging.getLogger(__name__)


class Trainer:
    """Trains a model.

    Args:
        config: What to train.
        base: Folder that the config's paths are relative to.
        run: Folder of checkpoints, logs and the feature cache; made if missing.

    Raises:
        ConfigError: if the data does not fit the configuration.
        CheckpointError: if the run's newest checkpoint is damaged, or of another configuration or tokenizer.
    """

    def __init__(self, config: TrainConfig, base: Path, run: Path) -> None:
        """Reads the data, makes the model and loads the newest checkpoint, if there is one."""
        self.config, self.run = config, run
        run.mkdir(parents=True, exist_ok=True)
        policy = "mixed_bfloat16" if config.schedule.mixed_precision else "float32"
        keras.mixed_precision.set_global_policy(policy)
        keras.utils.set_random_seed(config.schedule.seed)
        devices = _distribute()
        self.corpus: Corpus = load_corpus(config, base, run)
        teacher_width = self.corpus.teacher.width if self.corpus.teacher else 0
        wanted = config.loss.weighs("crf")
        bigram = phoneme_bigram(self.corpus.train, config.model.phonemes) if wanted else None
        self.model = make_model(config.model, StoredEncoder if config.data.encoded else Encoder, teacher_width, bigram)
        self.model.encoder.mean.assign(self.corpus.mean)
        self.model.encoder.deviation.assign(self.corpus.deviation)
        augment = FrameAugmenter(config.augment, self.corpus.noises, self.corpus.mean)
        unchanged = bool(config.data.encoded)
        self.batches = TrainingBatches(config, self.corpus, no_augmentation if unchanged else augment, devices)
        self.step = 0
        self.audio_seconds = 0.0
        self.stop_requested = False
        if config.start_from and not checkpoint_steps(run):
            self._start_from(base / config.start_from)
        _freeze(self.model, config.trained)
        self.stepper = _stepper(self.model, config)
        self._resume()
        if config.data.encoded:
            self._take_stored()
        (run / "tokenizer.model").write_bytes(self.corpus.tokenizer.model)
        (run / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=1))
        self.record = RunRecord(run, self.step, config.schedule.steps, self.audio_seconds)
        self._decoder = make_decoder(self.model, self.corpus.tokenizer, self.corpus.pronunciations)

    def train(self, until: float | None = None) -> None:
        """Trains to the last step, or to the time `until` (of `time.time`)."""
        schedule = self.config.schedule
        recent: list[dict[str, float]] = []
        if self._due() and not self.record.evaluated(self.step, self.corpus.dev):  # it was killed meanwhile
            self.evaluate()
        for batch in self.batches.since(self.step):
            recent.append(self._train_step(batch))
            if self.step % schedule.log_steps == 0:
                self.record.progress(self.step, self.audio_seconds, recent)
                recent = []
            interrupted = self.stop_requested or (until is not None and time.time() > until)
            if self.step == schedule.steps or interrupted or self.step % schedule.checkpoint_steps == 0:
                self.save()
            if self._due() and (not interrupted or self.step == schedule.steps):
                self.evaluate()
            if interrupted:
                return

    def _due(self) -> bool:
        """Whether the weights of this step are to be evaluated."""
        schedule = self.config.schedule
        return self.step == schedule.steps or (self.step > 0 and self.step % schedule.evaluate_steps == 0)

    def _train_step(self, batch: dict[str, Any]) -> dict[str, float]:
        schedule, loss = self.config.schedule, self.config.loss
        if "frames" not in batch:  # text alone
            chunk, seconds = MAX_BLOCK, 0.0
        else:
            chunk = chunk_of(self.step, schedule) or batch["frames"].shape[1]  # 0: full context
            seconds = float(np.sum(batch["frame_lengths"])) / 100
        wanted = loss.weighs("transducer") and self.step >= loss.transducer_after
        block = min(chunk, MAX_BLOCK) if wanted else None
        delay = loss.delay_penalty if self.step >= loss.delay_penalty_after else 0.0
        rate = learning_rate(self.step, schedule)
        values = self.stepper(batch, chunk, block, self.step, rate, delay)
        self.step += 1
        self.audio_seconds += seconds
        return values | {"rate": rate}

    def evaluate(self) -> dict[str, dict[str, float | None]]:
        """WER on the dev splits of each head that is trained, by the averaged weights; logged, and in dev.csv.

        Of a transducer whose loss has not come in yet, and that the run did not start with, it is None.
        """
        current = [np.asarray(v).copy() for v in self.stepper.variables]
        for variable, average in zip(self.stepper.variables, self.stepper.slots["average"], strict=True):
            variable.assign(np.asarray(average))
        results: dict[str, dict[str, float | None]] = {}
        loss, untrained = self.config.loss, self._untrained()
        for split, utterances in self.corpus.dev.items():
            corpus = self.corpus
            rates = word_error_rates(self._decoder, utterances, corpus.features, SILENCE, corpus.pronunciations)
            trained = {head: rate for head, rate in rates.items() if loss.trains(head)}
            results[split] = {head: None if head in untrained else rate for head, rate in trained.items()}
            self.record.evaluation(self.step, self.audio_seconds, split, results[split])
        for variable, value in zip(self.stepper.variables, current, strict=True):
            variable.assign(value)
        return results

    def _untrained(self) -> tuple[str, ...]:
        """Heads that are still as they were initialised."""
        late = self.step <= self.config.loss.transducer_after and not self.config.start_from
        return ("transducer",) if late else ()

    def _take_stored(self) -> None:
        """Puts the encoder's frames in place of log-mel: of all that the run trains and is evaluated on."""
        assert isinstance(self.model.encoder, StoredEncoder)
        wanted = {u.id: u for utterances in self.corpus.dev.values() for u in utterances}
        for epoch in self.batches.epochs():
            members = (epoch.examples[i].utterance for batch in epoch.plan for i, _ in batch.members)
            wanted |= {u.id: u for u in members}
        folder, chunk = self.run / self.config.data.encoded, self.config.schedule.chunks[0]
        features = self.corpus.features
        stored = stored_frames(self.model.encoder, list(wanted.values()), features, folder, chunk, SILENCE)
        self.corpus = dataclasses.replace(self.corpus, features=stored)
        self.batches.corpus = self.corpus

    # Checkpoints

    def save(self) -> None:
        """Writes a checkpoint of everything the run needs to go on."""
        arrays = {f"weights/{path}": value for path, value in weights_of(self.model.variables).items()}
        for slot, values in self.stepper.slots.items():
            for name, value in zip(self.stepper.names, values, strict=True):
                arrays[f"{slot}/{name}"] = np.asarray(value)
        meta = {
            "step": self.step,
            "audio_seconds": self.audio_seconds,
            "model": dataclasses.asdict(self.config.model),
            "tokenizer": self.corpus.tokenizer.texts,
        }
        if self.corpus.pronunciations is not None:
            meta["phonemes"] = self.corpus.pronunciations.symbols
        save_arrays(checkpoint_path(self.run, self.step), arrays, meta)
        prune(self.run, self.config.schedule.kept_checkpoints)

    def _resume(self) -> None:
        steps = checkpoint_steps(self.run)
        if not steps:
            return
        path = checkpoint_path(self.run, steps[-1])
        arrays, meta = load_arrays(path)
        if meta["tokenizer"] != self.corpus.tokenizer.texts:
            raise CheckpointError(f"{path}: expected the wordpieces of this run's tokenizer, got others")
        pronunciations = self.corpus.pronunciations
        if pronunciations is not None and meta.get("phonemes") != pronunciations.symbols:
            raise CheckpointError(f"{path}: expected the phonemes of this run's pronunciations, got others")
        assign_weights(self.model.variables, part(arrays, "weights"), str(path))
        for slot, variables in self.stepper.slots.items():
            stored = part(arrays, slot)
            for name, variable in zip(self.stepper.names, variables, strict=True):
                if name not in stored:
                    raise CheckpointError(f"{path}: expected {slot}/{name}, found none: it is no checkpoint of a run")
                variable.assign(stored[name])
        self.step, self.audio_seconds = int(meta["step"]), float(meta["audio_seconds"])
        log.info("resumed at step %d", self.step)

    def _start_from(self, path: Path) -> None:
        """Takes the weights of a model folder, or the averaged ones of a run's checkpoint; no optimiser's state."""
        arrays, meta = load_arrays(path / "weights.npz" if path.is_dir() else path)
        weights = weights_of(self.model.variables)  # heads that the other run did not have stay as they are
        found = arrays if path.is_dir() else part(arrays, "weights") | part(arrays, "average")
        if not found:
            raise CheckpointError(f"{path}: expected a model folder or a run's checkpoint, found no weights of either")
        taken = _taken(found, self.config)
        self._check_labels(path, meta, {name.split("/")[0] for name in taken if name in weights})
        weights |= {name: found[name] for name in taken}
        assign_weights(self.model.variables, weights, str(path))
        log.info("started from %s", path)

    def _check_labels(self, path: Path, meta: dict[str, Any], parts: set[str]) -> None:
        """Refuses parts of a model whose labels mean something else; `meta` is a checkpoint's, not a model folder's."""
        if parts.intersection(WORDPIECE_PARTS):
            pieces = read_tokenizer(path / "tokenizer.model").texts if path.is_dir() else meta["tokenizer"]
            if pieces != self.corpus.tokenizer.texts:
                raise ConfigError(
                    f"start_from: expected the wordpieces of this run's tokenizer, {path} has others: name its"
                    " tokenizer.model as data.tokenizer, or take other parts (start_parts)"
                )
        pronunciations = self.corpus.pronunciations
        if pronunciations is not None and parts.intersection(PHONEME_PARTS):
            phonemes = (read_config(path)[1] if path.is_dir() else meta).get("phonemes")
            if phonemes not in (None, pronunciations.symbols):  # None: that run did not train the head
                raise ConfigError(
                    f"start_from: expected the phonemes of this run's pronunciations, {path} has others: name those"
                    ' that it was trained by as data.pronunciations, or start_without = ["phonemes"]'
                )


def _taken(names: Iterable[str], config: TrainConfig) -> list[str]:
    """Which weights, of these of where the run starts, it takes from there.

    Raises:
        ConfigError: for a part or layer that is not there.
    """
    layers = {name: name.split("/")[:-1] for name in names}
    known = sorted({path[0] for path in layers.values()})
    for wanted in config.start_parts:
        if wanted not in known:
            raise ConfigError(
                f"start_parts: expected parts of what the run starts from ({', '.join(known)}), got {wanted!r}"
            )
    for unwanted in config.start_without:
        if not any(unwanted in path for path in layers.values()):
            raise ConfigError(f"start_without: expected layers of what the run starts from, got {unwanted!r}")
    parts, without = config.start_parts, set(config.start_without)
    return [name for name, path in layers.items() if (not parts or path[0] in parts) and not without.intersection(path)]


def _freeze(model: keras.Model, trained: tuple[str, ...]) -> None:
    """Leaves only these layers of the model trainable; all, if none is named."""
    names = [layer.name for layer in model.layers]
    for name in trained:
        if name not in names:
            raise ConfigError(f"trained: expected parts of the model ({', '.join(names)}), got {name!r}")
    for layer in model.layers:
        layer.trainable = not trained or layer.name in trained


def _distribute() -> int:
    """Prepares several accelerators, if the backend sees them; returns their number."""
    if keras.backend.backend() != "jax":
        return 1
    from asr.training.step_jax import distribute

    return distribute()


def _stepper(model: AnyModel, config: TrainConfig) -> Any:
    """The backend's training step."""
    if keras.backend.backend() == "jax":
        from asr.training.step_jax import JaxStep

        return JaxStep(model, config)
    from asr.training.step_tensorflow import TensorFlowStep

    return TensorFlowStep(model, config)
