"""The path from one query's feed-forward similarity to multi-head attention: each step reduces to the one before."""

from typing import Any

import numpy as np
from keras import ops

from asr.attention.additive import Additive
from asr.attention.cross import CrossAttention
from asr.attention.dot import Dot
from asr.attention.multi_head import MultiHead
from asr.attention.scaled_dot import ScaledDot
from asr.attention.self_attention import SelfAttention

WIDTH, ITEMS, ATOL = 6, 5, 1e-5


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def same(found: Any, expected: Any) -> None:
    """Contexts and weights."""
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), atol=ATOL)


def with_weights(layer: Any, query: np.ndarray, value: np.ndarray, **weights: np.ndarray) -> Any:
    layer(query, value)
    for name, weight in weights.items():
        getattr(layer, name).assign(weight)
    return layer


def test_v1_dot_is_v0_of_the_hidden_layer() -> None:
    """The feed-forward similarity is the dot product of its output vector v with its hidden units tanh(W₁q + W₂h)."""
    query, value = drawn(1, 1, 3), drawn(1, ITEMS, WIDTH, seed=1)
    v0 = Additive(4)
    expected = v0(query, value)
    hidden = np.tanh(query @ np.asarray(v0.query_kernel) + value @ np.asarray(v0.key_kernel))  # [1, S, J]
    vector = np.asarray(v0.vector)[None, None]  # [1, 1, J]
    same(Dot()(vector, value, key=hidden), expected)


def test_v2_scaled_dot_is_v1_of_a_query_times_the_root_of_its_width() -> None:
    query, value = drawn(1, 1, WIDTH), drawn(1, ITEMS, WIDTH, seed=1)
    same(ScaledDot()(query * np.sqrt(WIDTH), value), Dot()(query, value))


def test_v3_many_queries_are_v2_one_by_one() -> None:
    queries, value = drawn(1, 4, WIDTH), drawn(1, ITEMS, WIDTH, seed=1)
    v3 = ScaledDot()
    together = v3(queries, value)
    for u in range(4):
        same([x[:, u : u + 1] for x in together], v3(queries[:, u : u + 1], value))


def test_v4_cross_is_v3_with_projections_of_one() -> None:
    queries, value, one = drawn(2, 4, WIDTH), drawn(2, ITEMS, WIDTH, seed=1), np.eye(WIDTH)
    v4 = with_weights(CrossAttention(WIDTH), queries, value, query_kernel=one, key_kernel=one, value_kernel=one)
    same(v4(queries, value), ScaledDot()(queries, value))


def test_v5_self_is_v4_of_a_sequence_with_itself() -> None:
    x = drawn(2, ITEMS, WIDTH)
    kernels = {f"{name}_kernel": drawn(WIDTH, 4, seed=i) for i, name in enumerate(("query", "key", "value"))}
    v4, v5 = (with_weights(layer, x, x, **kernels) for layer in (CrossAttention(4), SelfAttention(4)))
    same(v5(x), v4(x, x))


def test_v6_multi_head_is_v5_with_one_head_and_an_output_of_one() -> None:
    x = drawn(2, ITEMS, WIDTH)
    kernels = {f"{name}_kernel": drawn(WIDTH, 4, seed=i) for i, name in enumerate(("query", "key", "value"))}
    v5 = with_weights(SelfAttention(4), x, x, **kernels)
    v6 = with_weights(MultiHead(4, 1), x, x, output_kernel=np.eye(4), **kernels)
    context, weights = v6(x, x)
    same((context, ops.squeeze(weights, 1)), v5(x))


def test_v6_two_heads_are_two_of_v5_side_by_side() -> None:
    x = drawn(2, ITEMS, WIDTH)
    kernels = {f"{name}_kernel": drawn(WIDTH, 4, seed=i) for i, name in enumerate(("query", "key", "value"))}
    context, weights = with_weights(MultiHead(4, 2), x, x, output_kernel=np.eye(4), **kernels)(x, x)
    for h in range(2):
        part = slice(2 * h, 2 * h + 2)
        v5 = with_weights(SelfAttention(2), x, x, **{name: kernel[:, part] for name, kernel in kernels.items()})
        same((context[..., part], weights[:, h]), v5(x))


def test_scaling_keeps_the_softmax_from_saturating() -> None:
    """Why v2: the energies of unit-variance vectors have standard deviation √d, scaled ones 1."""
    width = 256
    query, key = drawn(1, 200, width), drawn(1, 200, width, seed=1)
    assert np.std(np.asarray(Dot().energies(query, ops.convert_to_tensor(key)))) > 0.9 * np.sqrt(width)
    assert 0.9 < np.std(np.asarray(ScaledDot().energies(query, ops.convert_to_tensor(key)))) < 1.1
