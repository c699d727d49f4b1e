"""The model's losses: finite, and the same whatever pads the batch."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from asr.config import ModelConfig
from asr.encoder.encoder import FRAMES_PER_STEP
from asr.transducer.model import Transducer

Batch = dict[str, np.ndarray]
FIELDS = (("characters", 28), ("pieces", 11))


@pytest.fixture
def batch(mel: Callable) -> Batch:
    """Three recordings of 128, 100 and 61 frames; T = 128."""
    rng = np.random.default_rng(0)
    made = {"frames": mel(3, 128), "frame_lengths": np.array([128, 100, 61], np.int32)}
    for name, symbols in FIELDS:
        made[name] = rng.integers(0, symbols, (3, 5)).astype(np.int32)
        made[f"{name[:-1]}_lengths"] = np.array([5, 3, 2], np.int32)
    made["piece_places"] = np.sort(rng.uniform(size=(3, 5)), axis=1).astype(np.float32)
    return made


def losses(model: Transducer, batch: Batch, chunk: int = 8, block: int | None = 8, **options: Any) -> dict[str, float]:
    tensors = {name: ops.convert_to_tensor(value) for name, value in batch.items()}
    return {name: float(value) for name, value in model.losses_of(tensors, chunk, block, **options).items()}


PRIORS = {"prior_weight": 0.5, "guide_weight": 0.5}
OPTIONS = pytest.mark.parametrize("options", [{}, PRIORS, {"objective": "viterbi"}], ids=["plain", "priors", "viterbi"])


@OPTIONS
@pytest.mark.parametrize("chunk", [2, 8, 16])
def test_losses_are_finite_and_above_zero(
    chunk: int, options: dict[str, Any], make_model: Callable, batch: Batch
) -> None:
    found = losses(make_model(0), batch, chunk, min(chunk, 8), **options)
    assert list(found) == ["characters", "pieces", "transducer"]
    assert all(np.isfinite(value) and value > 0 for value in found.values())


def test_transducer_is_left_out_without_a_block(make_model: Callable, batch: Batch) -> None:
    assert list(losses(make_model(0), batch, 8, None)) == ["characters", "pieces"]


@OPTIONS
def test_padding_in_time_changes_nothing(options: dict[str, Any], make_model: Callable, batch: Batch) -> None:
    """More frames, and anything in those past a recording's last block."""
    padded = batch | {"frames": np.pad(batch["frames"], ((0, 0), (0, 64), (0, 0)))}
    for row, length in enumerate(batch["frame_lengths"]):
        padded["frames"][row, -(-length // 64) * 64 :] = 7.0
    assert losses(make_model(0), padded, **options) == pytest.approx(losses(make_model(0), batch, **options), abs=1e-4)


def test_pairs_are_copies_in_adjacent_rows(make_model: Callable, batch: Batch) -> None:
    """Alike they do not diverge; where they differ, by what each row's wordpieces are from its partner's."""
    twice = {name: np.repeat(value[:2], 2, axis=0) for name, value in batch.items()}
    found = losses(make_model(0), twice, paired=True)
    assert list(found) == ["characters", "pieces", "consistency", "transducer"]
    assert found["consistency"] == pytest.approx(0.0, abs=1e-6)
    others = {name: value for name, value in found.items() if name != "consistency"}
    assert others == pytest.approx(losses(make_model(0), twice), abs=1e-5)
    twice["frames"][1, 20:60] = 0.0
    assert losses(make_model(0), twice, paired=True)["consistency"] > 1e-4
    assert "consistency" not in losses(make_model(0), twice, heads=("characters",), paired=True)


def test_the_encoders_frames_tell_a_teachers(tiny: ModelConfig, randomised: Callable, batch: Batch) -> None:
    """The loss is the squared error per frame that the teacher says anything of, wherever those frames are."""
    model = Transducer(tiny, teacher_width=6)
    randomised(model, 0)
    frames, lengths = ops.convert_to_tensor(batch["frames"]), ops.convert_to_tensor(batch["frame_lengths"])
    said = np.asarray(model.teacher(model(frames, -(-lengths // 64) * 64, chunk=8)[1]))
    counts = np.zeros((3, 16), np.float32)
    counts[0, 2:5] = counts[2, 1] = 1.0
    taught = batch | {"teacher": said + 0.5, "teacher_counts": counts}
    found = losses(model, taught)
    assert list(found) == ["characters", "pieces", "teacher", "transducer"]
    assert found["teacher"] == pytest.approx(0.25, rel=1e-4)
    taught["teacher"] = np.where(counts[..., None] > 0, said, 9.0)
    assert losses(model, taught)["teacher"] == pytest.approx(0.0, abs=1e-6)
    assert losses(model, taught | {"teacher_counts": np.zeros_like(counts)})["teacher"] == 0.0


def test_a_phoneme_head_has_losses_where_they_are_wanted(tiny: ModelConfig, randomised: Callable, batch: Batch) -> None:
    """CTC, and CTC-CRF by a bigram; what pads their labels changes nothing."""
    config = dataclasses.replace(tiny, phonemes=4)
    bigram = np.random.default_rng(0).dirichlet(np.ones(4), 4).astype(np.float32)
    model = Transducer(config, bigram=bigram)
    randomised(model, 0)
    labels = np.array([[0, 1, 1, 3], [2, 0, 0, 0], [3, 2, 1, 0]], np.int32)
    said = batch | {"phonemes": labels, "phoneme_lengths": np.array([4, 1, 0], np.int32)}
    assert list(losses(model, said, block=None)) == ["characters", "pieces"]
    assert list(losses(model, said, block=None, heads=("phonemes",))) == ["phonemes"]
    found = losses(model, said, block=None, heads=("crf",))
    assert list(found) == ["phonemes", "crf"]
    assert all(np.isfinite(value) and value > 0 for value in found.values())
    said["phonemes"] = np.pad(np.where([[1] * 4, [1, 0, 0, 0], [0] * 4], labels, 3), ((0, 0), (0, 2)))
    assert losses(model, said, block=None, heads=("phonemes", "crf")) == pytest.approx(found, abs=1e-4)
    with pytest.raises(ValueError, match="crf: expected a bigram of the phonemes, got none"):
        losses(Transducer(config), said, heads=("crf",))


def test_the_phoneme_head_hears_both_levels(tiny: ModelConfig, randomised: Callable) -> None:
    """An upper frame says something of the two lower ones at its place, and of no other."""
    model = Transducer(dataclasses.replace(tiny, phonemes=4))
    randomised(model, 0)
    rng = np.random.default_rng(0)
    lower, upper = (rng.normal(size=(1, n, tiny.dim)).astype(np.float32) for n in (8, 4))
    before = np.asarray(model.phoneme_logits(lower, upper))
    assert before.shape == (1, 8, 5)
    lower[0, 1], upper[0, 2] = 0.0, 0.0
    changed = np.any(np.asarray(model.phoneme_logits(lower, upper)) != before, axis=-1)
    assert changed.tolist() == [[False, True, False, False, True, True, False, False]]


@OPTIONS
def test_padding_of_labels_changes_nothing(options: dict[str, Any], make_model: Callable, batch: Batch) -> None:
    padded = dict(batch)
    for name, symbols in FIELDS:
        labels = np.pad(batch[name], ((0, 0), (0, 3)))
        for row, count in enumerate(batch[f"{name[:-1]}_lengths"]):
            labels[row, count:] = np.random.default_rng(row).integers(0, symbols, 8 - count)
        padded[name] = labels
    padded["piece_places"] = np.pad(batch["piece_places"], ((0, 0), (0, 3)))
    assert losses(make_model(0), padded, **options) == pytest.approx(losses(make_model(0), batch, **options), abs=1e-4)


@OPTIONS
def test_empty_rows_change_nothing(options: dict[str, Any], make_model: Callable, batch: Batch) -> None:
    padded = {name: np.pad(value, [(0, 2)] + [(0, 0)] * (value.ndim - 1)) for name, value in batch.items()}
    assert losses(make_model(0), padded, **options) == pytest.approx(losses(make_model(0), batch, **options), abs=1e-4)


def test_order_of_rows_changes_nothing(make_model: Callable, batch: Batch) -> None:
    turned = {name: value[::-1].copy() for name, value in batch.items()}
    assert losses(make_model(0), turned) == pytest.approx(losses(make_model(0), batch), abs=1e-4)


def test_loss_of_a_batch_is_that_of_its_rows(make_model: Callable, batch: Batch) -> None:
    """Nats per label: rows weigh by their labels."""
    rows = [losses(make_model(0), {name: value[i : i + 1] for name, value in batch.items()}) for i in range(3)]
    for name, value in losses(make_model(0), batch).items():
        assert value == pytest.approx(np.average([row[name] for row in rows], weights=[5, 3, 2]), abs=1e-4)


def test_lengths_are_rounded_up_to_whole_blocks(make_model: Callable, batch: Batch) -> None:
    rounded = batch | {"frame_lengths": np.array([128, 128, 64], np.int32)}
    assert losses(make_model(0), rounded) == losses(make_model(0), batch)
    finer = {"chunk": 2, "block": 2}
    assert losses(make_model(0), rounded, **finer) != losses(make_model(0), batch, **finer)


def test_recordings_without_labels_have_a_loss(make_model: Callable, batch: Batch) -> None:
    silent = batch | {f"{name[:-1]}_lengths": np.zeros(3, np.int32) for name, _ in FIELDS}
    assert all(np.isfinite(value) and value > 0 for value in losses(make_model(0), silent).values())


@pytest.mark.parametrize("options", [{}, {"objective": "viterbi"}], ids=["full_sum", "viterbi"])
def test_a_batch_without_room_for_labels_has_a_loss(
    options: dict[str, Any], make_model: Callable, batch: Batch
) -> None:
    silent = batch | {f"{name[:-1]}_lengths": np.zeros(3, np.int32) for name, _ in FIELDS}
    narrow = silent | {name: silent[name][:, :0] for name in ("characters", "pieces", "piece_places")}
    assert losses(make_model(0), narrow, **options) == pytest.approx(losses(make_model(0), silent, **options), abs=1e-4)


def test_delay_penalty_changes_no_value(make_model: Callable, batch: Batch) -> None:
    plain = losses(make_model(0), batch)
    assert losses(make_model(0), batch, delay_penalty=0.1) == pytest.approx(plain, abs=1e-6)


def test_unknown_objective_is_named(make_model: Callable, batch: Batch) -> None:
    with pytest.raises(ValueError, match="objective: expected full_sum or viterbi, got 'best'"):
        losses(make_model(0), batch, objective="best")


@pytest.mark.parametrize(("chunk", "block", "most"), [(2, 4, 2), (4, 8, 4), (16, 16, 8), (8, 0, 8)])
def test_a_block_that_fits_no_chunk_is_an_error(
    chunk: int, block: int, most: int, make_model: Callable, batch: Batch
) -> None:
    with pytest.raises(ValueError, match=f"block: expected 1 to {most} frames with chunks of {chunk}, got {block}"):
        losses(make_model(0), batch, chunk, block)


@pytest.mark.parametrize("chunk", [2, 8])
def test_call_is_the_encoder(chunk: int, make_model: Callable, batch: Batch) -> None:
    """With the chunk as a Python number and as a tensor, by name and by position where that is a tensor."""
    model = make_model(0)
    frames, lengths = ops.convert_to_tensor(batch["frames"]), ops.full((3,), 128, "int32")
    expected = [np.asarray(x) for x in model.encoder(frames, lengths, chunk=chunk)]
    tensor = ops.convert_to_tensor(chunk, "int32")
    for found in (model(frames, lengths, chunk=chunk), model(frames, lengths, tensor)):
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(np.asarray(a), b)
    assert expected[1].shape == (3, 128 // FRAMES_PER_STEP, 32)


def test_weights_have_names_of_their_own(make_model: Callable) -> None:
    paths = [weight.path for weight in make_model(0).weights]
    assert len(paths) == len(set(paths))


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("bfloat16")
def test_half_precision_is_near_single(tiny: ModelConfig, make_model: Callable, batch: Batch) -> None:
    half = Transducer(tiny)
    for target, source in zip(half.trainable_variables, make_model(0).trainable_variables, strict=True):
        target.assign(source)
    for name in ("mean", "deviation"):
        getattr(half.encoder, name).assign(getattr(make_model(0).encoder, name))
    assert losses(half, batch) == pytest.approx(losses(make_model(0), batch), rel=0.05)
