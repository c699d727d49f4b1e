"""Cross attention with one head (Vaswani et al. 2017, 1706.03762, sections 3.2.2 and 3.2.3)."""

from typing import Any

import keras
from keras import ops

from asr.attention.interface import Attention, with_state
from asr.attention.masking import masked_softmax, per_query
from asr.attention.similarity import last_axis


@keras.saving.register_keras_serializable(package="earshot")
class CrossAttention(Attention):
    """c = softmax(qW_Q (kW_K)ᵀ / √d) vW_V: queries from one sequence, keys and values projected from another.

    Vaswani et al. 2017 (1706.03762), sections 3.2.2 and 3.2.3 ("encoder-decoder attention"), with one head.

    Args:
        dim: d, width of the projections and of the contexts.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dim = dim

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes the projections."""
        self.query_kernel = self.add_weight(shape=(query_shape[-1], self.dim), name="query")
        self.key_kernel = self.add_weight(shape=(last_axis(value_shape, key_shape), self.dim), name="key")
        self.value_kernel = self.add_weight(shape=(value_shape[-1], self.dim), name="value")

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`, contexts [..., U, d]; there is no state."""
        mask = None if mask is None else per_query(mask, query)
        key = ops.matmul(value if key is None else key, ops.cast(self.key_kernel, value.dtype))
        query = ops.matmul(query, ops.cast(self.query_kernel, query.dtype)) * self.dim**-0.5
        weights = masked_softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)), mask)
        context = ops.matmul(weights, ops.matmul(value, ops.cast(self.value_kernel, value.dtype)))
        return with_state(context, weights, state, state)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"dim": self.dim}
