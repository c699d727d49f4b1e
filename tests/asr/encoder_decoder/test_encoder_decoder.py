"""The decoder that attends to whole recordings: teacher forcing against single steps, its loss, and greedy decoding."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from asr.config import ModelConfig
from asr.encoder_decoder.model import EncoderDecoder
from asr.encoder_decoder.search import LABELS_PER_FRAME, GlobalDecoder

CONFIG = ModelConfig(
    kind="encoder_decoder",
    dim=16,
    heads=2,
    lower_layers=1,
    upper_layers=1,
    channels=4,
    predictor_dim=12,
    joint_dim=8,
    vocabulary=6,
)


@pytest.fixture(scope="module")
def model() -> EncoderDecoder:
    keras.utils.set_random_seed(3)
    return EncoderDecoder(CONFIG)


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(7).normal(size=(2, 128, 80)).astype(np.float32)


def encode(model: EncoderDecoder, frames: np.ndarray, lengths: list[int]) -> Any:
    counts = ops.convert_to_tensor(np.array(lengths, np.int32))
    return model.decoder.memory(model(frames, counts, chunk=16), counts // 8)


def test_teacher_forcing_gives_what_single_steps_give(model: EncoderDecoder, frames: np.ndarray) -> None:
    memory = encode(model, frames, [128, 64])
    labels = np.array([[1, 5, 2], [0, 3, 3]], np.int32)
    logits = np.asarray(model.decoder(labels, memory))
    assert logits.shape == (2, 4, 7)
    state = model.decoder.initial_state(memory)
    for place, label in enumerate(np.concatenate([[[6], [6]], labels], axis=1).T):
        found, state, weights = model.decoder.step(ops.convert_to_tensor(label), state, memory)
        np.testing.assert_allclose(np.asarray(found), logits[:, place], atol=1e-5)
        weights = np.asarray(weights)
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
        assert not weights[1, 8:].any()  # past its end there is nothing to hear
        assert weights[0, 8:].all()


def test_the_decoder_hears_the_recording_and_its_own_contexts(model: EncoderDecoder, frames: np.ndarray) -> None:
    """Another recording gives other scores; so does another context at an earlier label, by the state alone."""
    labels = np.array([[1, 5, 2], [1, 5, 2]], np.int32)
    memory = encode(model, frames, [128, 128])
    logits = np.asarray(model.decoder(labels, memory))
    assert np.abs(logits[0] - logits[1]).max() > 1e-3
    state = model.decoder.initial_state(memory)
    after = [
        np.asarray(model.decoder.step(ops.convert_to_tensor(labels[:, 0]), state, heard)[1])
        for heard in (memory, memory._replace(values=2.0 * memory.values))
    ]
    assert np.abs(after[0] - after[1]).max() > 1e-3


def batch_of(frames: np.ndarray, counts: list[int]) -> dict[str, Any]:
    return {
        "frames": frames,
        "frame_lengths": np.array([121, 60], np.int32),
        "pieces": np.array([[1, 5, 2], [0, 3, 0]], np.int32),
        "piece_lengths": np.array(counts, np.int32),
    }


def test_the_loss_is_the_cross_entropy_of_labels_and_end(model: EncoderDecoder, frames: np.ndarray) -> None:
    batch = batch_of(frames, [3, 2])
    memory = encode(model, frames, [128, 64])  # lengths in whole encoder frames
    logits = np.asarray(model.decoder(batch["pieces"], memory), np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    expected = -sum(log_probs[0, i, label] for i, label in enumerate((1, 5, 2, 6)))
    expected -= sum(log_probs[1, i, label] for i, label in enumerate((0, 3, 6)))
    losses = model.losses_of(batch, 16, 8)
    assert set(losses) == {"decoder"}
    assert float(losses["decoder"]) == pytest.approx(expected / 5, rel=1e-4)


def test_rows_that_fill_a_batch_cost_nothing(model: EncoderDecoder, frames: np.ndarray) -> None:
    both = float(model.losses_of(batch_of(frames, [3, 0]), 16, None)["decoder"])
    one = {name: value[:1] for name, value in batch_of(frames, [3, 0]).items()}
    assert both == pytest.approx(float(model.losses_of(one, 16, None)["decoder"]), rel=1e-4)


class Letters:
    """A tokenizer of six letters."""

    def decode(self, labels: tuple[int, ...]) -> str:
        return "".join("abcdef"[label] for label in labels)


def test_decoding_takes_the_likeliest_label_until_the_end(
    model: EncoderDecoder, frames: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that is told what to say; the second recording ends first, and its row is left alone from then on."""
    said = np.array([[2, 0, 4, 6, 1], [3, 6, 5, 5, 5]])
    calls: list[np.ndarray] = []

    def step(label: Any, state: Any, memory: Any) -> Any:
        calls.append(np.asarray(label))
        weights = np.full((2, 16), len(calls), np.float32)
        return ops.one_hot(said[:, len(calls) - 1], 7), state, weights

    decoder = GlobalDecoder(model, Letters())  # type: ignore[arg-type]
    monkeypatch.setattr(decoder, "_step", lambda *inputs: (ops.argmax((out := step(*inputs))[0], axis=-1), *out[1:]))
    first, second = decoder.recognise(frames, np.array([128, 64]))
    assert (first.labels, second.labels) == ((2, 0, 4), (3,))
    np.testing.assert_array_equal(first.weights, np.repeat([[1.0], [2.0], [3.0]], 16, axis=1))
    np.testing.assert_array_equal(second.weights, np.ones((1, 8)))
    np.testing.assert_array_equal(np.array(calls), [[6, 6], [2, 3], [0, 6], [4, 6]])


def test_decoding_ends_where_no_end_is_heard(model: EncoderDecoder, frames: np.ndarray) -> None:
    """At a number of labels for the recording's length; silence of no length says nothing."""
    bias = model.decoder.output_bias
    before = np.asarray(bias)
    bias.assign(np.array([9.0, 0, 0, 0, 0, 0, 0], np.float32))
    try:
        found = GlobalDecoder(model, Letters()).recognise(frames, np.array([128, 0]))  # type: ignore[arg-type]
        assert found[0].labels == (0,) * int(16 * LABELS_PER_FRAME)
        assert found[1].labels == () and found[1].weights.shape == (0, 0)
        np.testing.assert_allclose(found[0].weights.sum(axis=1), 1.0, atol=1e-5)
    finally:
        bias.assign(before)
    texts = GlobalDecoder(model, Letters())(frames, np.array([128, 64]))  # type: ignore[arg-type]
    assert [set(text) for text in texts] == [{"decoder"}, {"decoder"}]
