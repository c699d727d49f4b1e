"""Local attention with predictive alignment (Luong et al. 2015, 1508.04025, section 3.2, local-p)."""

from typing import Any

import keras
from keras import ops

from asr.attention.alignment import AlignmentAttention, positions
from asr.attention.interface import with_state
from asr.attention.local_m import near
from asr.attention.masking import masked_softmax


@keras.saving.register_keras_serializable(package="earshot")
class LocalPredictive(AlignmentAttention):
    """p = S · sigmoid(vᵀ tanh(W q)); α = softmax of the energies in [p − D, p + D], times exp(−(s − p)² / 2σ²).

    Luong et al. 2015 (1508.04025), section 3.2, equations 9 and 10; σ = D / 2. The Gaussian is what gives p a gradient;
    by it the weights sum to less than one. S counts the items that exist, and p starts at the first of them.

    Args:
        radius: D, in memory items.
        units: Width of the position's hidden layer.
        score: The similarity.
    """

    def __init__(self, radius: float, units: int, score: Any = None, **kwargs: Any) -> None:
        super().__init__(score, **kwargs)
        self.radius, self.units = radius, units

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes W, v and the similarity's weights."""
        super().build(query_shape, value_shape, key_shape)
        self.place_kernel = self.add_weight(shape=(query_shape[-1], self.units), name="place")
        self.place_vector = self.add_weight(shape=(self.units, 1), name="place_vector")

    def places(self, query: Any, energies: Any, mask: Any) -> Any:
        """Where each query looks: [..., U] float32, in memory items."""
        hidden = ops.tanh(ops.matmul(query, ops.cast(self.place_kernel, query.dtype)))
        share = ops.matmul(hidden, ops.cast(self.place_vector, query.dtype))[..., 0]  # [..., U]
        share = ops.sigmoid(ops.cast(share, "float32"))
        if mask is None:
            return share * ops.cast(ops.shape(energies)[-1], "float32")
        exists = ops.cast(mask, "float32")  # [..., 1 or U, S]
        first = ops.cast(ops.argmax(exists, axis=-1), "float32")
        return first + share * ops.sum(exists, axis=-1)

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`; a mask's items have to be contiguous. There is no state."""
        energies, mask = self.scored(query, value, key, mask)
        places, items = self.places(query, energies, mask), positions(energies)
        window = near(places, items, self.radius)
        weights = masked_softmax(energies, window if mask is None else ops.logical_and(mask, window))
        distance = (items - ops.expand_dims(places, -1)) / (self.radius / 2)
        weights = weights * ops.cast(ops.exp(-0.5 * distance * distance), weights.dtype)
        return with_state(ops.matmul(weights, value), weights, state, state)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"radius": self.radius, "units": self.units}
