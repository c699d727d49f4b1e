"""Self-attention with one head (Vaswani et al. 2017, 1706.03762, section 3.2.3)."""

from typing import Any

import keras

from asr.attention.cross import CrossAttention


@keras.saving.register_keras_serializable(package="earshot")
class SelfAttention(CrossAttention):
    """Cross attention of a sequence with itself: every item hears every other at once, whatever their distance.

    Vaswani et al. 2017 (1706.03762), section 3.2.3. Where a convolution sees its kernel and a recurrence what it
    remembers, the path between any two items has length one; order is not known unless the items carry it.

    Args:
        dim: d, width of the projections and of the contexts.
    """

    def build(self, query_shape: Any, value_shape: Any = None, key_shape: Any = None) -> None:
        """Makes the projections."""
        super().build(query_shape, query_shape, None)

    def call(
        self,
        query: Any,
        value: Any = None,
        key: Any = None,
        mask: Any = None,
        state: Any = None,
        training: bool = False,
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`, contexts [..., S, d].

        Raises:
            ValueError: if there is a key, or a value of another shape than the query: use `CrossAttention`.
        """
        if key is not None or (value is not None and value.shape != query.shape):
            raise ValueError("self-attention: expected one sequence as query and value, got others too")
        return super().call(query, query, None, mask, state, training)
