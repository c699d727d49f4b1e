"""Attention by similarity: a softmax over how well each memory item answers to the query."""

from typing import Any

from keras import ops

from asr.attention.interface import Attention, with_state
from asr.attention.masking import masked_softmax, per_query


class SimilarityAttention(Attention):
    """Base of the mechanisms that differ in their energy alone: α = softmax(e), c = Σ α h.

    Letters: U queries, S memory items, P query width, D memory width, K key width.
    """

    def energies(self, query: Any, key: Any) -> Any:
        """Queries [..., U, P] and keys [..., S, K] -> energies [..., U, S]."""
        raise NotImplementedError

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`; there is no state."""
        energies = self.energies(query, value if key is None else key)
        weights = masked_softmax(energies, None if mask is None else per_query(mask, query))
        return with_state(ops.matmul(weights, value), weights, state, state)


def last_axis(shape: Any, other: Any = None) -> int:
    """Width of the keys: the last axis of the key's shape, or of the value's if there is no key."""
    return int((shape if other is None else other)[-1])


def equal_widths(query_shape: Any, key_width: int, name: str) -> None:
    """Checks that a product of queries and keys is possible.

    Raises:
        ValueError: naming both widths.
    """
    if query_shape[-1] != key_width:
        raise ValueError(f"{name}: expected queries as wide as keys ({key_width}), got {query_shape[-1]}")
