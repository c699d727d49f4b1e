"""Hard attention's samples, and what the layers refuse."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from asr.attention.additive import Additive
from asr.attention.dot import Dot
from asr.attention.hard import Hard
from asr.attention.interface import Attention
from asr.attention.multi_head import MultiHead
from asr.attention.scaled_dot import ScaledDot
from asr.attention.self_attention import SelfAttention
from asr.attention.similarity import SimilarityAttention
from asr.attention.windowed import WindowedSelfAttention


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_samples_come_as_often_as_their_weight_says() -> None:
    query, value = np.repeat(drawn(1, 1, 4), 4000, axis=1), drawn(1, 5, 4, seed=1)
    mask = np.array([[True, True, False, True, True]])
    sampled = np.asarray(Hard(Dot(), seed=3)(query, value, mask=mask, training=True)[1])
    np.testing.assert_allclose(sampled.max(-1), 1.0, atol=1e-6)
    expected = np.asarray(Dot()(query[:, :1], value, mask=mask)[1])[0, 0]
    np.testing.assert_allclose(sampled.mean((0, 1)), expected, atol=0.03)
    assert sampled[..., 2].max() == 0.0


def test_its_gradient_goes_straight_through_to_the_softmax() -> None:
    query, value = tf.constant(drawn(1, 3, 4)), drawn(1, 5, 4, seed=1)
    slope = drawn(1, 3, 5, seed=2)
    gradients = []
    for layer in (Hard(Dot(), seed=3), Dot()):
        with tf.GradientTape() as tape:
            tape.watch(query)
            total = ops.sum(layer(query, value, training=True)[1] * slope)
        gradients.append(np.asarray(tape.gradient(total, query)))
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-5)


def test_log_probability_is_that_of_the_selection() -> None:
    layer, query, value = Hard(Dot(), seed=3), drawn(1, 3, 4), drawn(1, 5, 4, seed=1)
    _, weights = layer(query, value, training=True)
    soft, chosen = np.asarray(Dot()(query, value)[1])[0], np.asarray(weights)[0].argmax(-1)
    found = np.asarray(layer.log_probability(query, value, weights))[0]
    np.testing.assert_allclose(found, np.log(soft[np.arange(3), chosen]), atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (Dot, [(1, 3, 6), (1, 5, 4)], "dot: expected queries as wide as keys \\(4\\), got 6"),
        (ScaledDot, [(1, 3, 6), (1, 5, 4)], "scaled dot: expected queries as wide as keys \\(4\\), got 6"),
        (lambda: Additive(3, project_key=False), [(1, 3, 6), (1, 5, 4)], "expected projected keys of width 3, got 4"),
        (lambda: SelfAttention(4), [(1, 3, 4), (1, 5, 4)], "expected one sequence as query and value"),
        (lambda: WindowedSelfAttention(4, 1, 4), [(1, 3, 4), (1, 5, 4)], "expected one sequence as query and value"),
    ],
)
def test_widths_and_sequences_are_checked(layer: Callable, shapes: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layer()(*(drawn(*shape) for shape in shapes))


def test_heads_have_to_share_the_width() -> None:
    with pytest.raises(ValueError, match="expected a width that is a multiple of heads = 3, got 4"):
        MultiHead(4, 3)


def test_a_mask_has_to_fit() -> None:
    with pytest.raises(ValueError, match="expected a mask of 2 or 3 axes for queries of 3, got 1"):
        Dot()(drawn(1, 3, 4), drawn(1, 5, 4), mask=ops.ones((5,), "bool"))


def test_the_bases_attend_to_nothing() -> None:
    for call in (lambda: Attention().call(1, 2), lambda: SimilarityAttention().energies(1, 2)):
        with pytest.raises(NotImplementedError):
            call()


def test_projected_keys_are_additive_attention_without_its_second_matrix() -> None:
    query, value = drawn(2, 3, 6), drawn(2, 5, 4, seed=1)
    whole: Any = Additive(7)
    expected = whole(query, value)
    cached: Any = Additive(7, project_key=False)
    key = value @ np.asarray(whole.key_kernel)
    cached(query, value, key=key)
    cached.query_kernel.assign(whole.query_kernel)
    cached.vector.assign(whole.vector)
    for x, y in zip(cached(query, value, key=key), expected, strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), atol=1e-6)
