"""Batches of features by length bucket, planned from metadata alone and repeatable from (seed, epoch, index).

The plan of an epoch says which utterance goes into which batch, at which speed; making a batch reads the feature cache
and augments with a generator seeded by the batch's place. Training that stops anywhere can go on exactly there.

Shapes are fixed per bucket (frames, symbols and batch size), so that few programs are traced and compiled.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.joining import Joined, parts_of
from data.manifest import Utterance
from data.splice import Part
from data.teacher import Teacher

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Example:
    """An utterance ready for batching.

    Attributes:
        utterance: Its metadata.
        frames: Number of log-mel frames (10 ms).
        characters: Symbols for the character CTC head.
        pieces: Wordpieces.
        places: Share of the text said at the middle of each wordpiece, in [0, 1].
        phonemes: Symbols for the phoneme CTC head; None: there is no such head.
        joined: What is heard and said in place of the one utterance; None: that.
    """

    utterance: Utterance
    frames: int
    characters: tuple[int, ...]
    pieces: tuple[int, ...]
    places: tuple[float, ...]
    phonemes: tuple[int, ...] | None = None
    joined: Joined | None = None


# An example that takes another's place, its frames, and where they are from.
Splice = Callable[[Example, np.random.Generator], tuple[Example, Frames, tuple[Part, ...]] | None]


def unspliced(example: Example, rng: np.random.Generator) -> None:
    """Takes nothing in an example's place."""


@dataclass(frozen=True)
class Bucket:
    """Shapes of a batch.

    Attributes:
        frames: T, log-mel frames.
        size: B, utterances.
        characters: Most character symbols, and most phonemes: a word rarely has more of them than letters.
        pieces: Most wordpieces.
    """

    frames: int
    size: int
    characters: int
    pieces: int


def make_buckets(
    frames: Sequence[int], batch_frames: int, characters_per_frame: float = 0.21, pieces_per_frame: float = 0.09
) -> list[Bucket]:
    """Buckets with these numbers of frames, each batch about `batch_frames` frames in all.

    Raises:
        ValueError: if `frames` does not grow.
    """
    if list(frames) != sorted(set(frames)):
        raise ValueError(f"expected bucket lengths that grow, got {list(frames)}")
    return [
        Bucket(t, max(1, batch_frames // t), int(t * characters_per_frame), int(t * pieces_per_frame)) for t in frames
    ]


@dataclass(frozen=True)
class PlannedBatch:
    """One batch of an epoch: its bucket, and each example's place in the list with its speed factor."""

    bucket: Bucket
    members: tuple[tuple[int, float], ...]


def _nearest_fit(
    example: Example, factor: float, speeds: Sequence[float], buckets: Sequence[Bucket]
) -> tuple[int, float] | None:
    """The first bucket that an example fits, at this speed or else the nearest of the others; None: it fits none."""
    for other in sorted(speeds, key=lambda speed: abs(speed - factor)):
        place = _bucket_of(example, other, buckets)
        if place is not None:
            return place, other
    return None


def _bucket_of(example: Example, factor: float, buckets: Sequence[Bucket]) -> int | None:
    frames = round(example.frames / factor)
    for i, bucket in enumerate(buckets):
        if frames <= bucket.frames and _labels_fit(example, bucket):
            return i
    return None


def _labels_fit(example: Example, bucket: Bucket) -> bool:
    symbols = max(len(example.characters), len(example.phonemes or ()))
    return symbols <= bucket.characters and len(example.pieces) <= bucket.pieces


def plan_epoch(
    examples: Sequence[Example],
    buckets: Sequence[Bucket],
    *,
    seed: int,
    epoch: int,
    speeds: Sequence[float] = (1.0,),
    short_first: bool = False,
) -> list[PlannedBatch]:
    """Distributes the examples of one epoch over batches.

    Args:
        examples: All examples; those that fit no bucket are left out (see `too_long`).
        buckets: In order of growing length.
        seed: Seed of the run.
        epoch: Epoch number, from 0.
        speeds: Speed factors, one drawn for each example; one that makes it too long for every bucket gives way to
            the nearest that does not, so that long recordings are not lost whenever they are slowed down.
        short_first: Whether short buckets come first, as a curriculum; otherwise batches are shuffled.

    Returns:
        The batches, in order; every one is full. The few examples of each bucket that fill no batch are left out of
        this epoch: others in the next, but in every epoch those of a bucket that has too few (see `too_few`).
    """
    rng = np.random.default_rng((seed, epoch))
    groups: list[list[tuple[int, float]]] = [[] for _ in buckets]
    for i in rng.permutation(len(examples)):
        factor = float(rng.choice(np.asarray(speeds)))
        fit = _nearest_fit(examples[i], factor, speeds, buckets)
        if fit is not None:
            groups[fit[0]].append((int(i), fit[1]))
    plan = []
    for bucket, members in zip(buckets, groups, strict=True):
        whole = len(members) - len(members) % bucket.size
        for start in range(0, whole, bucket.size):
            plan.append(PlannedBatch(bucket, tuple(members[start : start + bucket.size])))
    if not short_first:
        plan = [plan[i] for i in rng.permutation(len(plan))]
    return plan


def too_long(examples: Sequence[Example], buckets: Sequence[Bucket], speeds: Sequence[float] = (1.0,)) -> list[Example]:
    """Examples that fit no bucket at any of the speeds: `plan_epoch` leaves them out."""
    return [e for e in examples if _nearest_fit(e, 1.0, speeds, buckets) is None]


def too_few(examples: Sequence[Example], buckets: Sequence[Bucket], speeds: Sequence[float] = (1.0,)) -> list[Example]:
    """Examples of buckets that they do not fill once, at the speed nearest 1: `plan_epoch` leaves them out, too.

    Other speeds may still bring one into a bucket that is filled.
    """
    groups: list[list[Example]] = [[] for _ in buckets]
    for example in examples:
        fit = _nearest_fit(example, 1.0, speeds, buckets)
        if fit is not None:
            groups[fit[0]].append(example)
    return [e for bucket, members in zip(buckets, groups, strict=True) if len(members) < bucket.size for e in members]


def assemble(
    planned: PlannedBatch,
    examples: Sequence[Example],
    features: Callable[[str], Frames],
    fill: float,
    rng: np.random.Generator,
    augment: Callable[[Frames, float, np.random.Generator], Frames],
    splice: Splice = unspliced,
    views: int = 1,
    teacher: Teacher | None = None,
) -> dict[str, NDArray[Any]]:
    """Makes a batch.

    Args:
        planned: What goes into it.
        examples: The list that the plan refers to.
        features: Frames of an utterance by its id, [t, bins].
        fill: Value of frames past the end: that of digital silence.
        rng: Generator of this batch's augmentation.
        augment: Called with (frames, speed factor, generator).
        splice: Called with (example, generator): another example to take in its place, no longer, and its frames.
        views: Copies of each example, augmented apart, in adjacent rows; B is so many times the planned examples.
        teacher: What a teacher says of the recordings.

    Returns:
        frames [B, T, bins] float32, frame_lengths [B], characters [B, Uc], character_lengths [B], pieces [B, Up],
        piece_lengths [B], all int32; piece_places [B, Up] float32; where examples have phonemes, phonemes [B, Uc] and
        phoneme_lengths [B] int32; with a teacher teacher [B, T / 8, 2 D] and teacher_counts [B, T / 8], 1 where it says
        something, float32.
    """
    bucket, size = planned.bucket, len(planned.members) * views
    batch: dict[str, NDArray[Any]] = {
        "frame_lengths": np.zeros(size, np.int32),
        "characters": np.zeros((size, bucket.characters), np.int32),
        "character_lengths": np.zeros(size, np.int32),
        "pieces": np.zeros((size, bucket.pieces), np.int32),
        "piece_lengths": np.zeros(size, np.int32),
        "piece_places": np.ones((size, bucket.pieces), np.float32),
    }
    if any(examples[index].phonemes is not None for index, _ in planned.members):
        batch["phonemes"] = np.zeros((size, bucket.characters), np.int32)
        batch["phoneme_lengths"] = np.zeros(size, np.int32)
    if teacher is not None:
        batch["teacher"] = np.zeros((size, bucket.frames // teacher.step, teacher.width), np.float32)
        batch["teacher_counts"] = np.zeros((size, bucket.frames // teacher.step), np.float32)
    for place, (index, factor) in enumerate(planned.members):
        example, spoken, parts = _spliced(examples[index], bucket, features, rng, splice)
        for row in range(place * views, (place + 1) * views):
            x = augment(spoken, factor, rng)[: bucket.frames]
            if row == 0:
                batch["frames"] = np.full((size, bucket.frames, x.shape[1]), fill, np.float32)
            batch["frames"][row, : len(x)] = x
            batch["frame_lengths"][row] = len(x)
            said = {"character": example.characters, "piece": example.pieces, "phoneme": example.phonemes}
            for name, labels in said.items():
                if labels is None:
                    continue
                batch[f"{name}s"][row, : len(labels)] = labels
                batch[f"{name}_lengths"][row] = len(labels)
            batch["piece_places"][row, : len(example.places)] = example.places
            if teacher is not None:
                heard, counts = teacher.targets(parts, factor, len(x))
                batch["teacher"][row, : len(heard)], batch["teacher_counts"][row, : len(heard)] = heard, counts
    return batch


def _spliced(
    example: Example,
    bucket: Bucket,
    features: Callable[[str], Frames],
    rng: np.random.Generator,
    splice: Splice,
) -> tuple[Example, Frames, tuple[Part, ...]]:
    """What is taken in an example's place, if its labels fit the bucket, or else itself; frames and their source.

    What is joined is not spliced.
    """
    if example.joined is not None:
        parts = parts_of(example.joined, features)
        return example, np.concatenate([features(p.source)[p.start : p.stop] for p in parts]), parts
    other = splice(example, rng)
    if other and _labels_fit(other[0], bucket):
        return other
    frames = features(example.utterance.id)
    return example, frames, (Part(example.utterance.id, 0, len(frames)),)


def prefetched(make: Callable[[int], dict[str, NDArray[Any]]], indices: range, ahead: int = 4) -> Iterator[Any]:
    """Batches `make(i)` for i in order, made ahead of their use in tf.data's threads.

    Yields:
        What `make` returns, as TensorFlow tensors.
    """
    import tensorflow as tf

    if not len(indices):
        return
    first = make(indices[0])
    signature = {
        name: tf.TensorSpec([None] * array.ndim, array.dtype)  # shapes differ between buckets
        for name, array in first.items()
    }
    dataset = tf.data.Dataset.from_generator(lambda: map(make, indices), output_signature=signature)
    yield from dataset.prefetch(ahead)
