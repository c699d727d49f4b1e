"""Additive attention (Bahdanau et al. 2015, 1409.0473, appendix A.1.2)."""

from typing import Any

import keras
from keras import ops

from asr.attention.similarity import SimilarityAttention, last_axis
from asr.fused import fused


@fused
def additive_energies(query: Any, key: Any, vector: Any) -> Any:
    """vᵀ tanh(q + k) for all pairs: queries [..., U, J], keys [..., S, J], vector [J] -> [..., U, S]."""
    hidden = ops.tanh(query[..., :, None, :] + key[..., None, :, :])
    energies = ops.sum(ops.cast(vector * hidden, "float32"), axis=-1)  # not summed in half precision
    return ops.cast(energies, query.dtype)


@keras.saving.register_keras_serializable(package="earshot")
class Additive(SimilarityAttention):
    """e = vᵀ tanh(W₁q + W₂h): a feed-forward network with one hidden layer says how well they match.

    Bahdanau et al. 2015 (1409.0473), appendix A.1.2. Compares vectors of different widths and spaces; costs U·S·J
    tangents where a product costs U·S·J multiply-adds.

    Args:
        units: J, width of the hidden layer.
        project_key: Whether W₂ is applied here. False: keys come projected, [..., S, J], as from a cache that many
            queries share.
    """

    def __init__(self, units: int, project_key: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.project_key = units, project_key

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes W₁, W₂ and v."""
        width = last_axis(value_shape, key_shape)
        self.query_kernel = self.add_weight(shape=(query_shape[-1], self.units), name="query")
        if self.project_key:
            self.key_kernel = self.add_weight(shape=(width, self.units), name="key")
        elif width != self.units:
            raise ValueError(f"additive: expected projected keys of width {self.units}, got {width}")
        self.vector = self.add_weight(shape=(self.units,), initializer="random_normal", name="vector")

    def energies(self, query: Any, key: Any) -> Any:
        """Queries [..., U, P] and keys [..., S, K] -> energies [..., U, S]."""
        query = ops.matmul(query, ops.cast(self.query_kernel, query.dtype))
        if self.project_key:
            key = ops.matmul(key, ops.cast(self.key_kernel, key.dtype))
        return additive_energies(query, key, ops.cast(self.vector, query.dtype))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"units": self.units, "project_key": self.project_key}
