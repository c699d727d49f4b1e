"""Plans and batches: nothing that fits is lost, everything repeats, padding is what it says."""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from data.cache import FeatureCache
from data.joining import Joined
from data.manifest import Utterance
from data.splice import Part
from data.teacher import Teacher

BUCKETS = make_buckets((128, 256), 1024)
SPEEDS = (0.9, 1.0, 1.1)


def example(frames: int, characters: int = 3, pieces: int = 2, name: str = "u") -> Example:
    utterance = Utterance(name, "a.wav", frames / 100, "ann", "abc", "train")
    places = tuple((i + 0.5) / pieces for i in range(pieces))
    return Example(utterance, frames, tuple(range(1, characters + 1)), tuple(range(5, 5 + pieces)), places)


def plan(examples: list[Example], **changes: Any) -> list[PlannedBatch]:
    return plan_epoch(examples, BUCKETS, **{"seed": 1, "epoch": 0, "speeds": SPEEDS} | changes)


def heard(planned: list[PlannedBatch]) -> Counter[int]:
    return Counter(i for batch in planned for i, _ in batch.members)


def test_buckets_hold_as_many_frames_and_labels_as_speech_has() -> None:
    assert [Bucket(128, 8, 26, 11), Bucket(256, 4, 53, 23)] == BUCKETS
    assert make_buckets((512,), 100)[0].size == 1
    with pytest.raises(ValueError, match=r"expected bucket lengths that grow, got \[256, 128\]"):
        make_buckets((256, 128), 1024)


@given(st.lists(st.integers(20, 256), min_size=8, max_size=60), st.integers(0, 5))
def test_an_epoch_holds_each_example_once_where_it_fits(lengths: list[int], epoch: int) -> None:
    """Whatever speed is drawn: what is left out are the few that fill no batch."""
    examples = [example(frames) for frames in lengths]
    planned = plan(examples, epoch=epoch)
    found = heard(planned)
    assert set(found.values()) <= {1}
    assert len(examples) - len(found) < sum(bucket.size for bucket in BUCKETS)
    for batch in planned:
        assert len(batch.members) == batch.bucket.size
        assert all(round(examples[i].frames / speed) <= batch.bucket.frames for i, speed in batch.members)


def test_a_long_example_is_never_lost_to_a_slow_speed() -> None:
    """At 0.9 its 250 frames would be 278: it is heard as it is then, in every epoch."""
    examples = [example(250) for _ in range(8)]
    for epoch in range(20):
        planned = plan(examples, epoch=epoch)
        assert len(heard(planned)) == 8
        assert {speed for batch in planned for _, speed in batch.members} <= {1.0, 1.1}


def test_what_only_a_fast_speed_makes_fit_is_heard_fast() -> None:
    examples = [example(275) for _ in range(8)]
    assert {speed for batch in plan(examples) for _, speed in batch.members} == {1.1}
    assert too_long(examples, BUCKETS, SPEEDS) == []
    assert too_long(examples, BUCKETS) == examples
    assert plan(examples, speeds=(1.0,)) == []


def test_what_never_fills_a_batch_is_known() -> None:
    """8 of up to 128 frames make a batch, 4 of up to 256."""
    short, long, impossible = [example(50)] * 8, [example(200 + i) for i in range(3)], [example(400)]
    assert too_few([*short, *long, *impossible], BUCKETS, SPEEDS) == long
    assert too_few([*short[1:], *long, example(250)], BUCKETS, SPEEDS) == short[1:]
    assert too_few([*short, *long, example(250)], BUCKETS, SPEEDS) == []
    for epoch in range(9):
        assert set(heard(plan([*short, *long], epoch=epoch, speeds=(1.0,)))) == set(range(8))


def test_many_labels_in_little_time_take_a_longer_bucket() -> None:
    fast, impossible = example(100, characters=40), example(100, characters=54)
    assert [batch.bucket.frames for batch in plan([fast] * 4)] == [256]
    assert too_long([fast, impossible], BUCKETS) == [impossible]


def test_plans_repeat_by_seed_and_epoch() -> None:
    examples = [example(40 + i) for i in range(200)]
    assert plan(examples) == plan(examples)
    assert plan(examples) != plan(examples, epoch=1)
    assert plan(examples) != plan(examples, seed=2)


def test_every_speed_is_drawn() -> None:
    speeds = Counter(speed for batch in plan([example(50)] * 600) for _, speed in batch.members)
    assert set(speeds) == set(SPEEDS)
    assert min(speeds.values()) > 150


def test_short_buckets_come_first_if_asked() -> None:
    examples = [example(60 + 60 * (i % 3)) for i in range(120)]
    lengths = [batch.bucket.frames for batch in plan(examples, short_first=True)]
    assert lengths == sorted(lengths)
    shuffled = [batch.bucket.frames for batch in plan(examples)]
    assert sorted(shuffled) == lengths
    assert shuffled != lengths


def test_a_batch_has_its_frames_and_labels_and_padding_past_them() -> None:
    examples = [example(50, name="a"), example(128, characters=5, pieces=4, name="b")]
    features = {"a": np.full((50, 3), 1.0, np.float32), "b": np.full((128, 3), 2.0, np.float32)}
    planned = PlannedBatch(Bucket(128, 2, 26, 11), ((1, 1.0), (0, 1.0)))
    batch = assemble(planned, examples, features.__getitem__, -9.0, np.random.default_rng(0), lambda x, *_: x)
    assert {name: (array.shape, str(array.dtype)) for name, array in batch.items()} == {
        "frames": ((2, 128, 3), "float32"),
        "frame_lengths": ((2,), "int32"),
        "characters": ((2, 26), "int32"),
        "character_lengths": ((2,), "int32"),
        "pieces": ((2, 11), "int32"),
        "piece_lengths": ((2,), "int32"),
        "piece_places": ((2, 11), "float32"),
    }
    assert batch["frame_lengths"].tolist() == [128, 50]
    assert np.all(batch["frames"][0] == 2.0)
    assert np.all(batch["frames"][1, :50] == 1.0) and np.all(batch["frames"][1, 50:] == -9.0)
    assert batch["character_lengths"].tolist() == [5, 3]
    assert batch["characters"][:, :6].tolist() == [[1, 2, 3, 4, 5, 0], [1, 2, 3, 0, 0, 0]]
    assert batch["piece_lengths"].tolist() == [4, 2]
    assert batch["pieces"][:, :5].tolist() == [[5, 6, 7, 8, 0], [5, 6, 0, 0, 0]]
    np.testing.assert_allclose(batch["piece_places"][1, :3], [0.25, 0.75, 1.0])


def test_phonemes_are_labels_as_characters_are() -> None:
    """Where they are too many for a bucket, a longer is taken, or none: none are cut off."""
    said = dataclasses.replace(example(50, name="a"), phonemes=(4, 2, 2, 7))
    features = {"a": np.zeros((50, 3), np.float32)}
    planned = PlannedBatch(Bucket(128, 1, 26, 11), ((0, 1.0),))
    batch = assemble(planned, [said], features.__getitem__, 0.0, np.random.default_rng(0), lambda x, *_: x)
    assert batch["phonemes"].shape == (1, 26) and batch["phonemes"].dtype == np.int32
    assert batch["phonemes"][0, :5].tolist() == [4, 2, 2, 7, 0] and batch["phoneme_lengths"].tolist() == [4]
    many, impossible = (dataclasses.replace(said, phonemes=(1,) * count) for count in (40, 54))
    assert [batch.bucket.frames for batch in plan([many] * 4)] == [256]
    assert too_long([said, many, impossible], BUCKETS) == [impossible]

    def splice(original: Example, rng: np.random.Generator) -> tuple[Example, np.ndarray, tuple[Part, ...]]:
        return many, np.ones((50, 3), np.float32), (Part("a", 0, 50),)

    args = [said], features.__getitem__, 0.0, np.random.default_rng(0), lambda x, *_: x, splice
    assert assemble(planned, *args)["phoneme_lengths"].tolist() == [4]


def test_augmentation_has_the_speed_and_the_batchs_generator() -> None:
    examples = [example(100, name=name) for name in "ab"]
    seen = []

    def augment(frames: np.ndarray, speed: float, rng: np.random.Generator) -> np.ndarray:
        seen.append((speed, float(rng.random())))
        return frames[: round(len(frames) / speed)]

    planned = PlannedBatch(Bucket(128, 2, 26, 11), ((0, 1.1), (1, 0.9)))
    features = {name: np.zeros((100, 3), np.float32) for name in "ab"}
    batch = assemble(planned, examples, features.__getitem__, 0.0, np.random.default_rng(4), augment)
    assert batch["frame_lengths"].tolist() == [91, 100]
    draws = np.random.default_rng(4).random(2)
    assert seen == [(1.1, draws[0]), (0.9, draws[1])]


def test_copies_of_an_example_are_augmented_apart_in_adjacent_rows() -> None:
    examples = [example(100, name="a"), example(60, pieces=3, name="b")]
    features = {"a": np.zeros((100, 3), np.float32), "b": np.ones((60, 3), np.float32)}

    def augment(frames: np.ndarray, speed: float, rng: np.random.Generator) -> np.ndarray:
        return frames + np.float32(rng.uniform(0.1, 0.4))

    planned = PlannedBatch(Bucket(128, 2, 26, 11), ((1, 1.0), (0, 1.0)))
    batch = assemble(planned, examples, features.__getitem__, 0.0, np.random.default_rng(3), augment, views=2)
    assert batch["frames"].shape == (4, 128, 3)
    assert np.floor(batch["frames"][:, 0, 0]).tolist() == [1.0, 1.0, 0.0, 0.0]
    assert len(set(batch["frames"][:, 0, 0].tolist())) == 4
    assert batch["frame_lengths"].tolist() == [60, 60, 100, 100]
    assert batch["piece_lengths"].tolist() == [3, 3, 2, 2]
    for name in ("characters", "pieces", "piece_places"):
        assert batch[name][::2].tolist() == batch[name][1::2].tolist()


def test_batches_are_made_in_order_and_as_tensors() -> None:
    made = list(prefetched(lambda i: {"x": np.full((i, 2), i, np.int32)}, range(3, 8)))
    assert [batch["x"].numpy().tolist() for batch in made] == [[[i, i]] * i for i in range(3, 8)]
    assert list(prefetched(lambda i: {}, range(4, 4))) == []


def test_joined_utterances_are_heard_behind_each_other_and_not_spliced() -> None:
    """The pause before each is its quietest stretch; all are augmented as one recording."""
    stored = {"a": np.arange(40, dtype=np.float32)[::-1, None], "b": np.full((30, 1), 7.0, np.float32)}
    row = dataclasses.replace(example(78, name="a"), joined=Joined(("a", "b"), (5, 3)))
    asked: list[tuple[int, float]] = []

    def kept(frames: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
        asked.append((len(frames), factor))
        return frames

    def splice(original: Example, rng: np.random.Generator) -> tuple[Example, np.ndarray, tuple[Part, ...]]:
        raise AssertionError("expected no splices")

    batch = PlannedBatch(BUCKETS[0], ((0, 1.1),))
    found = assemble(batch, [row], stored.__getitem__, -1.0, np.random.default_rng(0), kept, splice)
    expected = [*range(4, -1, -1), *range(39, -1, -1), *[7] * 33]
    np.testing.assert_array_equal(found["frames"][0, :78, 0], expected)
    assert found["frame_lengths"].tolist() == [78] and np.all(found["frames"][0, 78:] == -1.0)
    assert found["pieces"][0, : len(row.pieces)].tolist() == list(row.pieces)
    assert asked == [(78, 1.1)]


def test_a_spliced_example_is_taken_where_its_labels_fit() -> None:
    bucket = Bucket(128, 2, characters=4, pieces=2)
    examples = [example(100, name="a"), example(100, name="b")]
    stored = {"a": np.zeros((100, 2), np.float32), "b": np.ones((100, 2), np.float32)}
    parts = (Part("b", 0, 60),)
    other = example(60, characters=4, pieces=1), np.full((60, 2), 7, np.float32), parts
    long = example(60, characters=5, pieces=1), np.full((60, 2), 9, np.float32), parts

    def splice(original: Example, rng: np.random.Generator) -> tuple[Example, np.ndarray, tuple[Part, ...]]:
        return other if original.utterance.id == "a" else long

    def kept(frames: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
        return frames

    batch = PlannedBatch(bucket, ((0, 1.0), (1, 1.0)))
    found = assemble(batch, examples, stored.__getitem__, -1.0, np.random.default_rng(0), kept, splice)
    assert found["frame_lengths"].tolist() == [60, 100]  # five characters do not fit the bucket
    assert found["character_lengths"].tolist() == [4, 3]
    assert found["frames"][:, 0, 0].tolist() == [7.0, 1.0]


def test_a_teachers_frames_come_with_the_recordings_and_parts_they_are_of() -> None:
    examples = [example(100, name="a"), example(64, name="b"), example(64, name="unheard")]
    stored = {e.utterance.id: np.zeros((e.frames, 2), np.float32) for e in examples}
    teacher = Teacher(FeatureCache(np.arange(50, dtype=np.float16)[:, None], {"a": (0, 25), "b": (25, 16)}))
    spliced = example(48, name="a"), np.zeros((48, 2), np.float32), (Part("b", 16, 32), Part("a", 32, 64))

    def splice(original: Example, rng: np.random.Generator) -> tuple[Example, np.ndarray, tuple[Part, ...]] | None:
        return spliced if original.utterance.id == "b" else None

    def played(frames: np.ndarray, speed: float, rng: np.random.Generator) -> np.ndarray:
        return frames[: round(len(frames) / speed)]

    batch = PlannedBatch(Bucket(128, 3, 26, 11), ((0, 2.0), (1, 1.0), (2, 1.0)))
    rng = np.random.default_rng(0)
    found = assemble(batch, examples, stored.__getitem__, 0.0, rng, played, splice, teacher=teacher)
    assert found["teacher"].shape == (3, 16, 2)
    assert found["teacher"][0, :7, 0].tolist() == [1, 5, 9, 13, 17, 21, 0]
    assert found["teacher"][1, :7, 0].tolist() == [29, 31, 8, 10, 12, 14, 0]
    assert found["teacher_counts"].sum(axis=1).tolist() == [6, 6, 0]
