"""Hard attention (Xu et al. 2015, 1502.03044, section 4.1)."""

from typing import Any

import keras
from keras import ops

from asr.attention.alignment import AlignmentAttention
from asr.attention.interface import with_state
from asr.attention.masking import MASKED, masked_softmax


@keras.saving.register_keras_serializable(package="earshot")
class Hard(AlignmentAttention):
    """One memory item is selected: sampled from α = softmax(e) in training, the likeliest in use.

    Xu et al. 2015 (1502.03044), section 4.1. They train by the score function (REINFORCE), which needs a reward and
    a baseline for its variance; this is a layer, so its gradient is the straight-through one (Bengio et al. 2013,
    1308.3432): forwards the selection, backwards the softmax. `log_probability` serves those who want the other.

    Args:
        score: The similarity.
        seed: Of the samples; None: random.
    """

    def __init__(self, score: Any = None, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(score, **kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`; there is no state."""
        energies, mask = self.scored(query, value, key, mask)
        soft = masked_softmax(energies, mask)
        choice = ops.cast(energies, "float32")
        if training:  # the largest of energies plus Gumbel noise is a sample of their softmax
            uniform = keras.random.uniform(ops.shape(choice), 1e-6, 1.0 - 1e-6, dtype="float32", seed=self.generator)
            choice = choice - ops.log(-ops.log(uniform))
        if mask is not None:
            choice = ops.where(mask, choice, MASKED)
        weights = ops.one_hot(ops.argmax(choice, axis=-1), ops.shape(choice)[-1], dtype=soft.dtype)
        if mask is not None:  # a row without items selects none
            weights = ops.where(mask, weights, ops.zeros_like(weights))
        if training:
            weights = soft + ops.stop_gradient(weights - soft)
        return with_state(ops.matmul(weights, value), weights, state, state)

    def log_probability(self, query: Any, value: Any, weights: Any, key: Any = None, mask: Any = None) -> Any:
        """Log-probability of a selection, for the score-function gradient: reward times its gradient.

        Args:
            query: [..., U, P].
            value: [..., S, D].
            weights: [..., U, S] from `call`.
            key: [..., S, K], or None.
            mask: As in `call`.

        Returns:
            [..., U] float32.
        """
        soft = ops.cast(masked_softmax(*self.scored(query, value, key, mask)), "float32")
        chosen = ops.sum(soft * ops.stop_gradient(ops.cast(weights, "float32")), axis=-1)
        return ops.log(ops.maximum(chosen, 1e-30))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"seed": self.seed}
