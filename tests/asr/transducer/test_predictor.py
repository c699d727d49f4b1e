import keras
import numpy as np
import pytest
import tensorflow as tf

from asr.transducer.predictor import Predictor

LABELS = np.array([[3, 0, 6, 6], [1, 5, 2, 0]], np.int32)


@pytest.fixture
def make(randomised):
    def make(context_dim: int = 0, dropout: float = 0.0) -> Predictor:
        predictor = Predictor(7, 6, dropout, context_dim)
        predictor.build((None, None))
        randomised(predictor, 1)
        return predictor

    return make


def states_of(predictor: Predictor, training: bool = False) -> np.ndarray:
    return np.asarray(predictor(tf.constant(LABELS), training=training))


def test_stepping_gives_the_same_states(make):
    predictor = make()
    states = states_of(predictor)
    state = predictor.initial_state(2)
    np.testing.assert_allclose(states[:, 0], state, atol=1e-6)
    for u in range(4):
        state = predictor.step(tf.constant(LABELS[:, u]), state)
        np.testing.assert_allclose(states[:, u + 1], state, atol=1e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_graphs_give_what_eager_gives(make, compiled):
    predictor = make()
    traced = tf.function(predictor, jit_compile=compiled, autograph=False)
    np.testing.assert_allclose(traced(tf.constant(LABELS)), states_of(predictor), atol=1e-6)


def test_a_state_depends_on_every_label_before_and_none_after(make):
    predictor = make()
    states = states_of(predictor)
    changed = LABELS.copy()
    changed[:, 1] = (changed[:, 1] + 1) % 7
    others = np.asarray(predictor(tf.constant(changed)))
    np.testing.assert_array_equal(states[:, :2], others[:, :2])
    assert (np.abs(states[:, 2:] - others[:, 2:]).max(axis=2) > 1e-4).all()


def test_dropout_acts_in_training_only(make):
    keras.utils.set_random_seed(0)
    predictor = make(dropout=0.5)
    np.testing.assert_array_equal(states_of(predictor), states_of(predictor))
    assert np.abs(states_of(predictor, training=True) - states_of(predictor)).max() > 1e-3


def test_feedback_is_one_weight_more():
    shapes = []
    for context_dim in (0, 5):
        predictor = Predictor(7, 6, 0.0, context_dim, name="predictor")
        predictor.build((None, None))
        shapes.append({w.path: tuple(w.shape) for w in predictor.trainable_weights})
        if context_dim:
            assert not np.any(predictor.feedback)  # starts as the model without feedback
    assert shapes[1] == shapes[0] | {"predictor/feedback": (5, 18)}
    assert shapes[0] == {
        "predictor/embedding": (8, 6),
        "predictor/kernel": (6, 18),
        "predictor/recurrent": (6, 18),
        "predictor/input_bias": (18,),
        "predictor/bias": (18,),
    }


def test_the_context_reaches_the_next_state(make):
    predictor = make(context_dim=5)
    before, label = predictor.initial_state(2), tf.constant([3, 1])
    without = predictor.step(label, before, tf.zeros((2, 5)))
    np.testing.assert_allclose(states_of(predictor)[:, 1], without, atol=1e-6)
    assert np.abs(predictor.step(label, before, tf.ones((2, 5))) - without).min() > 0.0


def test_a_missing_context_is_an_error(make):
    predictor = make(context_dim=5)
    with pytest.raises(ValueError, match=r"expected the context \[B, 5\]"):
        predictor.step(tf.constant([3, 1]), predictor.initial_state(2))


def test_a_label_only_predictor_passes_contexts_over(make):
    predictor = make()
    before, label = predictor.initial_state(2), tf.constant([3, 1])
    with_context = predictor.step(label, before, tf.ones((2, 5)))
    np.testing.assert_array_equal(with_context, predictor.step(label, before))
