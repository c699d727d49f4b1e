"""The label predictor: steps against whole sequences, and independence of what comes later or beside."""

from collections.abc import Callable

import numpy as np
import pytest
from keras import ops

from asr.transducer.predictor import Predictor

LABELS = np.array([[3, 3, 0, 10, 7], [1, 2, 3, 4, 5]], np.int32)


@pytest.fixture
def predictor(make_model: Callable) -> Predictor:
    return make_model(0).predictor


def states(predictor: Predictor, labels: np.ndarray) -> np.ndarray:
    return np.asarray(predictor(ops.convert_to_tensor(labels)))


@pytest.mark.parametrize("ahead", [False, True])
def test_steps_equal_the_whole(predictor: Predictor, ahead: bool) -> None:
    projected = predictor.projected() if ahead else None
    state = predictor.initial_state(2)
    found = [np.asarray(state)]
    for label in LABELS.T:
        state = predictor.step(ops.convert_to_tensor(label), state, projected=projected)
        found.append(np.asarray(state))
    expected = states(predictor, LABELS)
    assert expected.shape == (2, 6, 24)
    np.testing.assert_allclose(np.stack(found, axis=1), expected, atol=1e-5)


def test_without_labels_there_is_the_start_alone(predictor: Predictor) -> None:
    found = states(predictor, LABELS[:, :0])
    assert found.shape == (2, 1, 24)
    np.testing.assert_allclose(found[:, 0], np.asarray(predictor.initial_state(2)), atol=1e-6)


def test_start_is_a_symbol_of_its_own(predictor: Predictor) -> None:
    start = np.asarray(predictor.initial_state(1))
    zero = ops.zeros((1, 24))
    after = [np.asarray(predictor.step(ops.full((1,), label, "int32"), zero)) for label in range(12)]
    np.testing.assert_array_equal(after[11], start)
    assert all(np.abs(state - start).max() > 1e-3 for state in after[:11])


def test_later_labels_and_other_rows_change_nothing(predictor: Predictor) -> None:
    changed = LABELS.copy()
    changed[0, 3:], changed[1] = 5, 9
    np.testing.assert_array_equal(states(predictor, changed)[0, :4], states(predictor, LABELS)[0, :4])
    np.testing.assert_allclose(states(predictor, LABELS[:1])[0], states(predictor, LABELS)[0], atol=1e-6)


def test_dropout_acts_in_training_only(randomised: Callable) -> None:
    predictor = Predictor(11, 24, dropout=0.5)
    predictor.build((None, None))
    randomised(predictor, 0)
    labels = ops.convert_to_tensor(LABELS)
    plain = np.asarray(predictor(labels))
    np.testing.assert_array_equal(np.asarray(predictor(labels)), plain)
    assert np.abs(np.asarray(predictor(labels, training=True)) - plain).max() > 1e-3


def test_noise_replaces_labels_in_training_only(randomised: Callable) -> None:
    """A replaced label changes the states after it, and none before."""
    predictor = Predictor(11, 24, noise=0.5)
    predictor.build((None, None))
    randomised(predictor, 0)
    labels = ops.convert_to_tensor(np.tile(LABELS[:1], (200, 1)))
    plain, noisy = np.asarray(predictor(labels)), np.asarray(predictor(labels, training=True))
    np.testing.assert_array_equal(np.asarray(predictor(labels)), plain)
    np.testing.assert_array_equal(noisy[:, 0], plain[:, 0])
    changed = np.abs(noisy - plain).max(axis=2)[:, 1] > 1e-6  # by the first label alone
    assert 0.35 < changed.mean() < 0.55  # half of them, of which one in eleven by itself


def test_context_is_fed_back_where_asked(randomised: Callable) -> None:
    predictor = Predictor(11, 24, context_dim=8)
    predictor.build((None, None))
    randomised(predictor, 0)
    state, label, context = predictor.initial_state(2), ops.convert_to_tensor(LABELS[:, 0]), ops.ones((2, 8))
    without = np.asarray(predictor.step(label, state, ops.zeros((2, 8))))
    np.testing.assert_allclose(without, states(predictor, LABELS)[:, 1], atol=1e-5)
    assert np.abs(np.asarray(predictor.step(label, state, context)) - without).max() > 1e-3
    with pytest.raises(ValueError, match=r"expected the context \[B, 8\] of the label, got none"):
        predictor.step(label, state)
