"""What a run trains on, step by step: a function of the configuration and the step, so that it resumes anywhere."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ConfigError
from asr.features import FRAMES_PER_SECOND
from asr.training.augmentation import Augmenter
from asr.training.config import TrainConfig
from asr.training.corpus import SILENCE, SYNTHETIC, Corpus
from data.batches import (
    Bucket,
    Example,
    PlannedBatch,
    assemble,
    make_buckets,
    plan_epoch,
    prefetched,
    too_few,
    too_long,
)

_JOINING = 0, 1  # sets its generator apart from those of the plan and of batches

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Epoch:
    """One way through the data.

    Attributes:
        number: From 0.
        first: Step of its first batch.
        examples: What its plan refers to.
        plan: Its batches, in order.
    """

    number: int
    first: int
    examples: Sequence[Example]
    plan: Sequence[PlannedBatch]


class TrainingBatches:
    """Batches of a run.

    Args:
        config: The run's configuration.
        corpus: Its data.
        augment: Augmentation.
        devices: Accelerators that share a batch: every batch has as many rows for each.
    """

    def __init__(self, config: TrainConfig, corpus: Corpus, augment: Augmenter, devices: int = 1) -> None:
        """Makes the buckets; nothing is planned yet."""
        self.config, self.corpus, self.augment, self.devices = config, corpus, augment, devices
        buckets = make_buckets(config.data.bucket_frames, config.data.batch_frames // config.loss.views)
        self.buckets = [_even(b, devices, config.schedule.parts) for b in buckets]
        self._warn(too_long(corpus.train, self.buckets, config.augment.speeds), "fit no bucket")
        if not config.augment.join_probability:  # rows are of other lengths then
            few = too_few(corpus.train, self.buckets, config.augment.speeds)
            self._warn(few, "fill no batch of their length and may never be heard", ": take smaller batch_frames")

    def _warn(self, left_out: Sequence[Example], why: str, remedy: str = "") -> None:
        if left_out:
            hours, count = sum(e.frames for e in left_out) / (3600 * FRAMES_PER_SECOND), len(self.corpus.train)
            log.warning("%d of %d utterances %s (%.2f h)%s", len(left_out), count, why, hours, remedy)

    def since(self, step: int) -> Iterator[dict[str, Any]]:
        """Batches from a step on to the last; those of text alone come first."""
        first = self.config.loss.text_first_steps
        if self.corpus.text is not None:
            for early in range(step, min(first, self.config.schedule.steps)):
                yield self.corpus.text.at(early, self._even_rows(self.config.data.text_first_rows))
        for epoch in self.epochs():
            skip = max(0, step - epoch.first)
            if skip < len(epoch.plan):
                log.info("epoch %d: %d batches", epoch.number, len(epoch.plan))
                yield from prefetched(partial(self._make, epoch), range(skip, len(epoch.plan)))

    def epochs(self) -> Iterator[Epoch]:
        """All epochs of the run, after the steps on text alone.

        The last, and the last with synthetic speech, end where their step comes.

        Raises:
            ConfigError: if the data does not fill one batch.
        """
        schedule, number, first = self.config.schedule, 0, self.config.loss.text_first_steps
        turn = schedule.steps - schedule.real_only_steps
        real = [e for e in self.corpus.train if not e.utterance.speaker.startswith(SYNTHETIC)]
        while first < schedule.steps:
            examples, end = (self.corpus.train, turn) if first < turn else (real, schedule.steps)
            rows = self.corpus.join(examples, np.random.default_rng((schedule.seed, number, *_JOINING)))
            plan = plan_epoch(
                rows,
                self.buckets,
                seed=schedule.seed,
                epoch=number,
                speeds=self.config.augment.speeds,
                short_first=number < schedule.short_first_epochs,
            )[: end - first]
            if not plan:
                kind = "" if examples is self.corpus.train else "real "
                expected = f"enough {kind}utterances of one length for a batch of batch_frames"
                raise ConfigError(f"expected {expected}, got {len(examples)} utterances")
            yield Epoch(number, first, rows, plan)
            number, first = number + 1, first + len(plan)

    def _make(self, epoch: Epoch, index: int) -> dict[str, NDArray[Any]]:
        rng = np.random.default_rng((self.config.schedule.seed, epoch.number, index))
        features = self.corpus.features.__getitem__
        batch = assemble(
            epoch.plan[index],
            epoch.examples,
            features,
            SILENCE,
            rng,
            self.augment,
            self.corpus.splice,
            self.config.loss.views,
            self.corpus.teacher,
        )
        if self.corpus.text is None:
            return batch
        return batch | self.corpus.text.at(epoch.first + index, self._even_rows(self.config.data.text_rows))

    def _even_rows(self, rows: int) -> int:
        """As many for each device, at least one."""
        return max(1, rows // self.devices) * self.devices


def _even(bucket: Bucket, devices: int, parts: int) -> Bucket:
    """The bucket with as many rows for each device, at least one, and in each part, where there are enough."""
    unit = devices * parts if bucket.size >= devices * parts else devices
    return dataclasses.replace(bucket, size=max(1, bucket.size // unit) * unit)
