"""General attention (Luong et al. 2015, 1508.04025, section 3.1)."""

from typing import Any

import keras
from keras import ops

from asr.attention.similarity import SimilarityAttention, last_axis


@keras.saving.register_keras_serializable(package="earshot")
class General(SimilarityAttention):
    """e = qᵀWh: a bilinear form, a dot product after a learnt change of space.

    Luong et al. 2015 (1508.04025), section 3.1. W is applied to the queries, which are fewer than the memory items.

    Args:
        scaled: Whether energies are divided by √K, the width of the keys (not in the paper; see `ScaledDot`).
    """

    def __init__(self, scaled: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scaled = scaled

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes W."""
        width = last_axis(value_shape, key_shape)
        self.kernel = self.add_weight(shape=(query_shape[-1], width), name="kernel")

    def energies(self, query: Any, key: Any) -> Any:
        """Queries [..., U, P] and keys [..., S, K] -> energies [..., U, S]."""
        query = ops.matmul(query, ops.cast(self.kernel, query.dtype))
        if self.scaled:
            query = query * key.shape[-1] ** -0.5
        return ops.matmul(query, ops.swapaxes(key, -1, -2))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"scaled": self.scaled}
