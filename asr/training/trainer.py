"""A training run: `asr train CONFIG`. It stops anywhere and resumes exactly there."""

import csv
import dataclasses
import json
import logging
import time
from functools import partial
from pathlib import Path
from typing import Any

import jiwer
import keras
import numpy as np
from numpy.typing import NDArray

from asr.training.augmentation import FrameAugmenter
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
from asr.training.corpus import SILENCE, Corpus, load_corpus
from asr.training.dev import DevDecoder, batches_by_length, padded
from asr.training.schedule import chunk_of, learning_rate
from asr.transducer.joint import MAX_BLOCK
from asr.transducer.model import Transducer
from data.batches import PlannedBatch, assemble, make_buckets, plan_epoch, prefetched, too_long
from data.manifest import Utterance

DEV_BATCH_FRAMES = 16_384  # log-mel frames decoded at a time on dev

log = logging.getLogger(__name__)


class Trainer:
    """Trains a transducer.

    Args:
        config: What to train.
        base: Folder that the config's paths are relative to.
        run: Folder of checkpoints, logs and the feature cache; made if missing.
    """

    def __init__(self, config: TrainConfig, base: Path, run: Path) -> None:
        """Reads the data, makes the model and loads the newest checkpoint, if there is one."""
        self.config, self.run = config, run
        run.mkdir(parents=True, exist_ok=True)
        if config.schedule.mixed_precision:
            keras.mixed_precision.set_global_policy("mixed_bfloat16")
        keras.utils.set_random_seed(config.schedule.seed)
        self.corpus: Corpus = load_corpus(config, base, run)
        (run / "tokenizer.model").write_bytes(self.corpus.tokenizer.model)
        (run / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=1))
        self.buckets = make_buckets(config.data.bucket_frames, config.data.batch_frames)
        left_out = too_long(self.corpus.train, self.buckets)
        if left_out:
            log.warning("%d of %d utterances fit no bucket", len(left_out), len(self.corpus.train))
        self.model = Transducer(config.model)
        self.model.encoder.mean.assign(self.corpus.mean)
        self.model.encoder.deviation.assign(self.corpus.deviation)
        self.augment = FrameAugmenter(config.augment, self.corpus.noises, float(self.corpus.mean.mean()))
        self.step = 0
        self.audio_seconds = 0.0
        self.stop_requested = False
        self.first_step = 0
        if config.start_from and not checkpoint_steps(run):
            self._start_from(base / config.start_from)
        self.stepper = _stepper(self.model, config)
        self._resume()

    def train(self, until: float | None = None) -> None:
        """Trains to the last step, or to the time `until` (of `time.time`)."""
        schedule = self.config.schedule
        started, heard, self.first_step = time.time(), self.audio_seconds, self.step
        recent: list[dict[str, float]] = []
        for batch in self._batches():
            recent.append(self._train_step(batch))
            if self.step % schedule.log_steps == 0:
                self._log_progress(recent, time.time() - started, self.audio_seconds - heard)
                recent = []
            finished = self.step == schedule.steps
            interrupted = self.stop_requested or (until is not None and time.time() > until)
            if finished or interrupted or self.step % schedule.checkpoint_steps == 0:
                self.save()
            if finished or self.step % schedule.evaluate_steps == 0:
                self.evaluate()
            if finished or interrupted:
                break

    def _train_step(self, batch: dict[str, Any]) -> dict[str, float]:
        schedule, loss = self.config.schedule, self.config.loss
        frames = batch["frames"].shape[1]
        chunk = chunk_of(self.step, schedule) or frames  # 0: full context
        block = min(chunk, MAX_BLOCK) if self.step >= loss.transducer_after else None
        delay = loss.delay_penalty if self.step >= loss.delay_penalty_after else 0.0
        rate = learning_rate(self.step, schedule)
        values = self.stepper(batch, chunk, block, self.step, rate, delay)
        self.step += 1
        self.audio_seconds += float(np.sum(batch["frame_lengths"])) / 100
        return values | {"rate": rate}

    def _batches(self) -> Any:
        """Training batches from the current step on, epoch after epoch."""
        schedule, first = self.config.schedule, 0
        for epoch in range(10**6):
            plan = self._plan(epoch)
            if not plan:
                raise ValueError(f"expected data for one batch at least, got {len(self.corpus.train)} utterances")
            skip = max(0, self.step - first)
            if skip < len(plan):
                log.info("epoch %d: %d batches", epoch, len(plan))
                yield from prefetched(partial(self._make, plan, epoch), range(skip, len(plan)))
            first += len(plan)
            if first >= schedule.steps:
                return

    def _plan(self, epoch: int) -> list[PlannedBatch]:
        schedule = self.config.schedule
        return plan_epoch(
            self.corpus.train,
            self.buckets,
            seed=schedule.seed,
            epoch=epoch,
            speeds=self.config.augment.speeds,
            short_first=epoch < schedule.short_first_epochs,
        )

    def _make(self, plan: list[PlannedBatch], epoch: int, index: int) -> dict[str, NDArray[Any]]:
        rng = np.random.default_rng((self.config.schedule.seed, epoch, index))
        return assemble(plan[index], self.corpus.train, self.corpus.features.__getitem__, SILENCE, rng, self.augment)

    def _log_progress(self, recent: list[dict[str, float]], seconds: float, heard: float) -> None:
        names = {name for values in recent for name in values}
        means = {n: float(np.mean([v[n] for v in recent if n in v])) for n in sorted(names)}
        speed = heard / max(seconds, 1e-9)
        left = (self.config.schedule.steps - self.step) * seconds / max(1, self.step - self.first_step)
        row = {"step": self.step, "hours": round(self.audio_seconds / 3600, 2), "speed": round(speed, 1)}
        row |= {n: round(v, 5) for n, v in means.items()}
        self._append("train.csv", row)
        text = " ".join(f"{n} {v:.3f}" for n, v in means.items() if n != "rate")
        log.info(
            "step %d/%d %s, %.1f h heard, %.0f x real time, %.0f min left",
            *(self.step, self.config.schedule.steps, text, self.audio_seconds / 3600, speed, left / 60),
        )

    def _append(self, name: str, row: dict[str, Any]) -> None:
        path = self.run / name
        columns = ["step", "hours", "speed", "characters", "pieces", "transducer", "norm", "rate"]
        columns = columns if name == "train.csv" else list(row)
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            if fresh:
                writer.writeheader()
            writer.writerow(row)

    # Evaluation

    def evaluate(self) -> dict[str, dict[str, float]]:
        """WER of each head on the dev splits, with the averaged weights; logged and written to dev.csv."""
        current = [np.asarray(v) for v in self.stepper.variables]
        for variable, average in zip(self.stepper.variables, self.stepper.slots["average"], strict=True):
            variable.assign(average)
        results: dict[str, dict[str, float]] = {}
        for split, utterances in self.corpus.dev.items():
            results[split] = self._word_errors(utterances)
            text = ", ".join(f"{head} {100 * wer:.1f} %" for head, wer in results[split].items())
            log.info("step %d %s WER: %s", self.step, split, text)
            row = {"step": self.step, "hours": round(self.audio_seconds / 3600, 2), "split": split}
            self._append("dev.csv", row | {h: round(w, 4) for h, w in results[split].items()})
        for variable, value in zip(self.stepper.variables, current, strict=True):
            variable.assign(value)
        return results

    def _word_errors(self, utterances: list[Utterance]) -> dict[str, float]:
        texts: dict[str, list[str]] = {}
        references: list[str] = []
        decoder = self._decoder()
        counts = [self.corpus.features.spans[u.id][1] for u in utterances]
        for rows in batches_by_length(counts, DEV_BATCH_FRAMES):
            length = padded(max(counts[i] for i in rows))
            size = max(len(rows), DEV_BATCH_FRAMES // length)  # rows past the batch are silence: one shape a length
            frames = np.full((size, length, self.corpus.mean.shape[0]), SILENCE, np.float32)
            lengths = np.zeros(size, np.int32)
            for row, i in enumerate(rows):
                lengths[row] = counts[i]
                frames[row, : counts[i]] = self.corpus.features[utterances[i].id]
            for i, found in zip(rows, decoder(frames, lengths), strict=False):
                references.append(utterances[i].transcript)
                for head, text in found.items():
                    texts.setdefault(head, []).append(text)
        return {head: float(jiwer.wer(references, found)) for head, found in texts.items()}

    def _decoder(self) -> DevDecoder:
        if not hasattr(self, "_dev_decoder"):
            self._dev_decoder = DevDecoder(self.model, self.corpus.tokenizer)
        return self._dev_decoder

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
        save_arrays(checkpoint_path(self.run, self.step), arrays, meta)
        prune(self.run, self.config.schedule.kept_checkpoints)

    def _resume(self) -> None:
        steps = checkpoint_steps(self.run)
        if not steps:
            return
        path = checkpoint_path(self.run, steps[-1])
        arrays, meta = load_arrays(path)
        assign_weights(self.model.variables, part(arrays, "weights"), str(path))
        for slot, variables in self.stepper.slots.items():
            stored = part(arrays, slot)
            for name, variable in zip(self.stepper.names, variables, strict=True):
                variable.assign(stored[name])
        self.step, self.audio_seconds = int(meta["step"]), float(meta["audio_seconds"])
        log.info("resumed at step %d", self.step)

    def _start_from(self, path: Path) -> None:
        """Takes the averaged weights of another run's checkpoint, and none of its optimiser's state."""
        arrays, _ = load_arrays(path)
        weights = weights_of(self.model.variables)  # heads that the other run did not have stay as they are
        weights |= part(arrays, "weights") | part(arrays, "average")
        assign_weights(self.model.variables, weights, str(path))
        log.info("started from %s", path)


def _stepper(model: Transducer, config: TrainConfig) -> Any:
    """The backend's training step."""
    from asr.training.step_tensorflow import TensorFlowStep

    return TensorFlowStep(model, config)
