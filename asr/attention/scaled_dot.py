"""Scaled dot-product attention (Vaswani et al. 2017, 1706.03762, section 3.2.1)."""

from typing import Any

import keras
from keras import ops

from asr.attention.similarity import SimilarityAttention, equal_widths, last_axis


@keras.saving.register_keras_serializable(package="earshot")
class ScaledDot(SimilarityAttention):
    """e = qᵀk / √d: a dot product of unit-variance vectors has standard deviation √d, which would saturate the softmax.

    Vaswani et al. 2017 (1706.03762), section 3.2.1, equation 1. No weights.
    """

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Checks the widths."""
        equal_widths(query_shape, last_axis(value_shape, key_shape), "scaled dot")

    def energies(self, query: Any, key: Any) -> Any:
        """Queries [..., U, d] and keys [..., S, d] -> energies [..., U, S]."""
        return ops.matmul(query * query.shape[-1] ** -0.5, ops.swapaxes(key, -1, -2))
