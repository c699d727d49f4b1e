"""Local attention with monotonic alignment (Luong et al. 2015, 1508.04025, section 3.2, local-m)."""

from typing import Any

import keras
from keras import ops

from asr.attention.alignment import AlignmentAttention, positions
from asr.attention.interface import with_state
from asr.attention.masking import masked_softmax


def near(places: Any, items: Any, radius: float) -> Any:
    """Which items lie in the window of each place: places [..., U], items [S] -> [..., U, S] bool."""
    return ops.abs(items - ops.expand_dims(places, -1)) <= radius


@keras.saving.register_keras_serializable(package="earshot")
class LocalMonotonic(AlignmentAttention):
    """α = softmax of the energies in [p − D, p + D], where query u looks at p = rate · u.

    Luong et al. 2015 (1508.04025), section 3.2. They translate, where p = u; speech has several frames a label, so
    that p is scaled by the frames per label. No position is learnt: it fits where speaking rate hardly varies, or
    where the query's place is known otherwise, as that of a block is (`near` gives its window).

    Args:
        radius: D, in memory items.
        rate: Memory items per query.
        score: The similarity.
    """

    def __init__(self, radius: float, rate: float = 1.0, score: Any = None, **kwargs: Any) -> None:
        super().__init__(score, **kwargs)
        self.radius, self.rate = radius, rate

    def initial_state(self, batch: int) -> Any:
        """Queries so far: [B] int32."""
        return ops.zeros((batch,), "int32")

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`; state [...] int32: queries before the first of these."""
        energies, mask = self.scored(query, value, key, mask)
        count = ops.shape(query)[-2]
        step = ops.arange(count, dtype="int32")
        if state is not None:
            step = ops.expand_dims(state, -1) + step  # [..., U]
        window = near(self.rate * ops.cast(step, "float32"), positions(energies), self.radius)
        mask = window if mask is None else ops.logical_and(mask, window)
        weights = masked_softmax(energies, mask)
        return with_state(ops.matmul(weights, value), weights, state, None if state is None else state + count)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"radius": self.radius, "rate": self.rate}
