"""What a run trains on: repeatable from the step, and without synthetic speech at the end if asked."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from asr.errors import ConfigError
from asr.tokenizer import train_tokenizer
from asr.training.augmentation import no_augmentation
from asr.training.corpus import SILENCE, Corpus
from asr.training.plan import Epoch, TrainingBatches
from asr.training.text import TextBatches
from data.batches import Example
from data.cache import FeatureCache
from data.manifest import Utterance

FRAMES = (40, 60, 100, 120)
SPEAKERS = ("ann", "synth-flite-slt", "synthia", "bob")  # of these the second is a synthesiser


def corpus_of(count: int) -> Corpus:
    """Utterances whose every frame holds their number, of four lengths by four speakers."""
    examples, spans, frames = [], {}, []
    for i in range(count):
        length = FRAMES[i % 4]
        utterance = Utterance(f"u{i}", f"{i}.wav", length / 100, SPEAKERS[i // 4 % 4], "a", "train")
        examples.append(Example(utterance, length, (1,), (2,), (0.5,)))
        spans[f"u{i}"] = (sum(map(len, frames)), length)
        frames.append(np.full((length, 80), i, np.float16))
    return Corpus(
        tokenizer=None,  # type: ignore[arg-type]  # not looked at
        train=examples,
        dev={},
        features=FeatureCache(np.concatenate(frames), spans),
        noises=[],
        mean=np.zeros(80, np.float32),
        deviation=np.ones(80, np.float32),
    )


def batches_of(make_config: Callable, count: int = 64, devices: int = 1, **schedule: Any) -> TrainingBatches:
    loss = {"text_first_steps": schedule.pop("text_first_steps", 0)}
    config = make_config(data={"bucket_frames": [64, 128], "batch_frames": 512}, loss=loss, schedule=schedule)
    return TrainingBatches(config, corpus_of(count), no_augmentation, devices)


def speakers(epoch: Epoch) -> set[str]:
    return {epoch.examples[i].utterance.speaker for batch in epoch.plan for i, _ in batch.members}


def test_epochs_follow_each_other_to_the_last_step(make_config: Callable) -> None:
    epochs = list(batches_of(make_config, steps=31).epochs())  # 32 of each length: 4 batches of 8, and 8 of 4
    assert [(e.number, e.first, len(e.plan)) for e in epochs] == [(0, 0, 12), (1, 12, 12), (2, 24, 7)]
    assert len({tuple(batch.members for batch in epoch.plan[:7]) for epoch in epochs}) == 3  # each is another order


def test_the_last_steps_are_of_people_alone(make_config: Callable) -> None:
    epochs = list(batches_of(make_config, steps=40, real_only_steps=15).epochs())
    before, after = [e for e in epochs if e.first < 25], [e for e in epochs if e.first >= 25]
    assert sum(len(e.plan) for e in before) == 25 and sum(len(e.plan) for e in after) == 15
    assert set.union(*map(speakers, before)) == set(SPEAKERS)
    assert set.union(*map(speakers, after)) == set(SPEAKERS) - {"synth-flite-slt"}


def test_without_real_only_steps_all_are_heard_to_the_end(make_config: Callable) -> None:
    assert all(speakers(e) == set(SPEAKERS) for e in batches_of(make_config, steps=36).epochs())


def test_only_synthetic_speech_leaves_nothing_for_the_end(make_config: Callable) -> None:
    batches = batches_of(make_config, steps=20, real_only_steps=5)
    batches.corpus.train[:] = [e for e in batches.corpus.train if e.utterance.speaker.startswith("synth-")]
    with pytest.raises(ConfigError, match=r"expected enough real utterances of one length for a batch .* got 0"):
        list(batches.epochs())


def test_too_little_data_for_a_batch_is_an_error(make_config: Callable) -> None:
    with pytest.raises(ConfigError, match=r"expected enough utterances of one length for a batch .* got 4 utterances"):
        list(batches_of(make_config, count=4).epochs())


def test_short_ones_come_first_in_the_first_epochs(make_config: Callable) -> None:
    first, second = list(batches_of(make_config, steps=24, short_first_epochs=1).epochs())
    lengths = [batch.bucket.frames for batch in first.plan]
    assert lengths == sorted(lengths)
    lengths = [batch.bucket.frames for batch in second.plan]
    assert lengths != sorted(lengths)


@pytest.mark.parametrize("step", [0, 5, 12, 23, 30])
def test_batches_from_any_step_are_those_of_the_whole_run(make_config: Callable, step: int) -> None:
    schedule = {"steps": 31, "real_only_steps": 9}
    whole = [[int(row[0, 0]) for row in b["frames"]] for b in batches_of(make_config, **schedule).since(0)]
    assert len(whole) == 31
    found = list(batches_of(make_config, **schedule).since(step))
    assert [[int(row[0, 0]) for row in batch["frames"]] for batch in found] == whole[step:]


def test_past_the_last_step_there_is_nothing(make_config: Callable) -> None:
    assert list(batches_of(make_config, steps=31).since(31)) == []


def test_a_batch_holds_its_utterances_and_silence_after_them(make_config: Callable) -> None:
    for batch in batches_of(make_config, steps=6).since(0):
        for row, length in zip(np.asarray(batch["frames"]), np.asarray(batch["frame_lengths"]), strict=True):
            assert length in FRAMES
            assert np.all(row[:length] == row[0, 0]) and np.all(row[length:] == np.float32(SILENCE))


def test_augmentation_repeats_with_its_batch_and_differs_between_batches(make_config: Callable) -> None:
    def noise(frames: np.ndarray, factor: float, rng: np.random.Generator) -> np.ndarray:
        return rng.normal(size=frames.shape).astype(np.float32)

    def frames(step: int) -> list[np.ndarray]:
        batches = batches_of(make_config, steps=20)
        batches.augment = noise
        return [np.asarray(batch["frames"]) for batch in batches.since(step)]

    whole, rest = frames(0), frames(7)
    for found, expected in zip(rest, whole[7:], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert len({float(batch[0, 0, 0]) for batch in whole}) == 20


def test_two_copies_of_half_as_many_utterances(make_config: Callable) -> None:
    config = make_config(
        data={"bucket_frames": [64, 128], "batch_frames": 512},
        loss={"text_first_steps": 0, "consistency": 0.1},
        schedule={"steps": 20},
    )
    batches = TrainingBatches(config, corpus_of(64), no_augmentation)
    assert [bucket.size for bucket in batches.buckets] == [4, 2]
    for batch in batches.since(0):
        assert batch["frames"].shape[:2] in ((8, 64), (4, 128))
        first = np.asarray(batch["frames"])[:, 0, 0]
        assert np.array_equal(first[::2], first[1::2]) and len(set(first)) == len(first) // 2


@pytest.mark.parametrize(("devices", "sizes"), [(1, [8, 4]), (3, [6, 3]), (5, [5, 5])])
def test_every_device_has_as_many_rows(make_config: Callable, devices: int, sizes: list[int]) -> None:
    assert [bucket.size for bucket in batches_of(make_config, devices=devices).buckets] == sizes


@pytest.mark.parametrize(("parts", "sizes"), [(1, [8, 4]), (3, [6, 3]), (5, [5, 4])])
def test_every_part_has_as_many_rows_where_there_are_enough(
    make_config: Callable, parts: int, sizes: list[int]
) -> None:
    """A batch whose rows the parts cannot share is computed in one part, which takes longer."""
    assert [bucket.size for bucket in batches_of(make_config, parts=parts).buckets] == sizes


def test_what_fits_no_bucket_is_said(make_config: Callable, caplog: pytest.LogCaptureFixture) -> None:
    config = make_config(data={"bucket_frames": [64], "batch_frames": 512})
    with caplog.at_level(logging.WARNING):
        TrainingBatches(config, corpus_of(64), no_augmentation)
    assert "32 of 64 utterances fit no bucket (0.01 h)" in caplog.text


@pytest.mark.parametrize(("long", "join", "said"), [(3, 0.0, True), (4, 0.0, False), (3, 0.5, False)])
def test_what_fills_no_batch_is_said(
    make_config: Callable, caplog: pytest.LogCaptureFixture, long: int, join: float, said: bool
) -> None:
    """4 of up to 128 frames are a batch; joined rows are of other lengths."""
    config = make_config(
        data={"bucket_frames": [64, 128], "batch_frames": 512}, augment={"join_probability": join, "speeds": [1.0]}
    )
    corpus = corpus_of(64)
    corpus.train[:] = [e for e in corpus.train if e.frames <= 64] + [e for e in corpus.train if e.frames == 120][:long]
    with caplog.at_level(logging.WARNING):
        TrainingBatches(config, corpus, no_augmentation)
    expected = "3 of 35 utterances fill no batch of their length and may never be heard (0.00 h)"
    assert [r.getMessage() for r in caplog.records] == [f"{expected}: take smaller batch_frames"] * said


def test_text_comes_with_each_batch(make_config: Callable) -> None:
    texts = ["a cab", "bad dab", "dab"]
    batches = batches_of(make_config, steps=20, devices=5)
    plain = list(batches.since(0))
    batches.corpus = dataclasses.replace(batches.corpus, text=TextBatches(texts, train_tokenizer(texts * 9, 12), 9, 1))
    whole = list(batches.since(0))
    assert all(batch["text"].shape == (5, 9) for batch in whole)  # text_rows = 8, as many for each device
    for found, expected in zip(batches.since(7), whole[7:], strict=True):
        np.testing.assert_array_equal(found["text"], expected["text"])
    for found, expected in zip(plain, whole, strict=True):
        assert "text" not in found
        np.testing.assert_array_equal(found["frames"], expected["frames"])


def test_text_alone_comes_first(make_config: Callable) -> None:
    texts = ["a cab", "bad dab", "dab"]
    batches = batches_of(make_config, steps=20, text_first_steps=6)
    batches.corpus = dataclasses.replace(batches.corpus, text=TextBatches(texts, train_tokenizer(texts * 9, 12), 9, 1))
    assert [epoch.first for epoch in batches.epochs()] == [6, 18]
    for step in (0, 4, 6, 9):
        found = list(batches.since(step))
        assert ["frames" in batch for batch in found] == [i >= 6 for i in range(step, 20)]
        assert [len(batch["text"]) for batch in found] == [12 if i < 6 else 8 for i in range(step, 20)]


def test_text_first_needs_the_text_loss(make_config: Callable) -> None:
    with pytest.raises(ConfigError, match="expected a weight of the text loss above 0 with text_first_steps, got 0"):
        make_config(loss={"text": 0.0, "text_first_steps": 5})


def test_joined_rows_are_the_same_wherever_a_run_goes_on(make_config: Callable) -> None:
    """And others in each epoch."""
    batches = batches_of(make_config, steps=30)
    at = []

    def join(examples: Sequence[Example], rng: np.random.Generator) -> list[Example]:
        order = rng.permutation(len(examples))
        at.append(tuple(order[:4]))
        return [examples[i] for i in order]

    batches = TrainingBatches(
        batches.config, dataclasses.replace(batches.corpus, join=join), no_augmentation, devices=1
    )
    whole = [b["frames"] for b in batches.since(0)]
    rest = [b["frames"] for b in batches.since(20)]
    assert len(whole) == 30 and len(set(at)) == 3
    for expected, found in zip(whole[20:], rest, strict=True):
        np.testing.assert_array_equal(found, expected)
