"""Dot-product attention (Luong et al. 2015, 1508.04025, section 3.1)."""

from typing import Any

import keras
from keras import ops

from asr.attention.similarity import SimilarityAttention, equal_widths, last_axis


@keras.saving.register_keras_serializable(package="earshot")
class Dot(SimilarityAttention):
    """e = qᵀh: similar vectors match. No weights; query and memory have to share a width and a space.

    Luong et al. 2015 (1508.04025), section 3.1. One matrix product for all pairs.
    """

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Checks the widths."""
        equal_widths(query_shape, last_axis(value_shape, key_shape), "dot")

    def energies(self, query: Any, key: Any) -> Any:
        """Queries [..., U, K] and keys [..., S, K] -> energies [..., U, S]."""
        return ops.matmul(query, ops.swapaxes(key, -1, -2))
