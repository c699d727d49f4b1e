"""Concat attention (Luong et al. 2015, 1508.04025, section 3.1)."""

from typing import Any

import keras
from keras import ops

from asr.attention.additive import additive_energies
from asr.attention.similarity import SimilarityAttention, last_axis


@keras.saving.register_keras_serializable(package="earshot")
class Concat(SimilarityAttention):
    """e = vᵀ tanh(W[q; h]): one matrix over query and memory item, one after the other.

    Luong et al. 2015 (1508.04025), section 3.1. W's upper rows act on q and its lower ones on h, so that this is
    additive attention whose two matrices are kept, and initialised, as one; and it is computed so: the U·S
    concatenations are never made.

    Args:
        units: J, rows of v.
    """

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes W and v."""
        self.query_width = int(query_shape[-1])
        width = self.query_width + last_axis(value_shape, key_shape)
        self.kernel = self.add_weight(shape=(width, self.units), name="kernel")
        self.vector = self.add_weight(shape=(self.units,), initializer="random_normal", name="vector")

    def energies(self, query: Any, key: Any) -> Any:
        """Queries [..., U, P] and keys [..., S, K] -> energies [..., U, S]."""
        kernel = ops.cast(self.kernel, query.dtype)
        query, key = ops.matmul(query, kernel[: self.query_width]), ops.matmul(key, kernel[self.query_width :])
        return additive_energies(query, key, ops.cast(self.vector, query.dtype))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"units": self.units}
