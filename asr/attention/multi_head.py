"""Multi-head attention (Vaswani et al. 2017, 1706.03762, section 3.2.2)."""

from typing import Any

import keras
from keras import ops

from asr.attention.cross import CrossAttention
from asr.attention.interface import with_state
from asr.attention.masking import masked_softmax, per_query


@keras.saving.register_keras_serializable(package="earshot")
class MultiHead(CrossAttention):
    """H cross attentions side by side, each d / H wide, joined by an output matrix W_O.

    Vaswani et al. 2017 (1706.03762), section 3.2.2. One head's softmax averages; several heads may look at several
    places at the cost of one. With the query's sequence as value it is multi-head self-attention.

    Args:
        dim: d, width of the projections and of the contexts, a multiple of `heads`.
        heads: H.
    """

    def __init__(self, dim: int, heads: int, **kwargs: Any) -> None:
        super().__init__(dim, **kwargs)
        if dim % heads:
            raise ValueError(f"multi-head: expected a width that is a multiple of heads = {heads}, got {dim}")
        self.heads = heads

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes the projections."""
        super().build(query_shape, value_shape, key_shape)
        self.output_kernel = self.add_weight(shape=(self.dim, self.dim), name="output")

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`, contexts [..., U, d], weights [..., H, U, S]; no state."""
        mask = None if mask is None else ops.expand_dims(per_query(mask, query), -3)
        key = self._by_head(value if key is None else key, self.key_kernel)
        query = self._by_head(query, self.query_kernel) * (self.dim // self.heads) ** -0.5
        weights = masked_softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)), mask)  # [..., H, U, S]
        context = ops.swapaxes(ops.matmul(weights, self._by_head(value, self.value_kernel)), -2, -3)
        context = ops.reshape(context, (*ops.shape(context)[:-2], self.dim))  # [..., U, d]
        context = ops.matmul(context, ops.cast(self.output_kernel, context.dtype))
        return with_state(context, weights, state, state)

    def _by_head(self, x: Any, kernel: Any) -> Any:
        """[..., S, D] -> projected [..., H, S, d / H]."""
        x = ops.matmul(x, ops.cast(kernel, x.dtype))
        split = ops.reshape(x, (*ops.shape(x)[:-1], self.heads, self.dim // self.heads))
        return ops.swapaxes(split, -2, -3)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"heads": self.heads}
