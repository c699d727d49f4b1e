"""Hard monotonic attention (Raffel et al. 2017, 1704.00784)."""

from typing import Any

import keras
from keras import ops

from asr.attention.alignment import AlignmentAttention, positions
from asr.attention.interface import with_state


def expected(energies: Any, before: Any) -> Any:
    """Probability that one query selects each item, given where the query before it stopped.

    α_j = p_j Σ_{k ≤ j} α'_k Π_{k ≤ l < j} (1 − p_l): Raffel et al., equation 9, whose closed form (equation 11) divides
    by a product that underflows; the sum with its S² terms does not.

    Args:
        energies: [..., S] float32, p = sigmoid(energies).
        before: α' [..., S].

    Returns:
        [..., S].
    """
    passed = passing(energies)
    index = positions(energies)
    walk = ops.expand_dims(passed, -2) - ops.expand_dims(passed, -1)  # [..., k, j]
    walk = ops.exp(ops.where(index[:, None] <= index[None, :], walk, -1e9))
    return ops.sigmoid(energies) * ops.matmul(ops.expand_dims(before, -2), walk)[..., 0, :]


def passing(energies: Any) -> Any:
    """Logarithm of Π_{l < j} (1 − p_l), the probability that a walk from the first item gets to each: [..., S]."""
    stays = ops.log_sigmoid(-energies)
    return ops.cumsum(stays, axis=-1) - stays


def selected(energies: Any, before: Any) -> Any:
    """The first item with p ≥ 1/2 from the last selected on, one-hot, or zeros; all [..., S]."""
    fits = ops.logical_and(energies >= 0.0, ops.cumsum(before, axis=-1) > 0.5)
    fits = ops.cast(fits, "float32")
    return ops.where(ops.cumsum(fits, axis=-1) == 1.0, fits, 0.0)


@keras.saving.register_keras_serializable(package="earshot")
class Monotonic(AlignmentAttention):
    """p = sigmoid(g · e + r): each query walks on from the item last selected and stops with probability p.

    Raffel et al. 2017 (1704.00784), sections 2.2 to 2.4. In training the weights are the expected alignment; in use the
    walk stops at the first item with p ≥ 1/2, so that labels need nothing that comes after it: linear time, online.
    A query that passes all items selects none: its weights sum to less than one, and its context is shorter.

    Args:
        score: The similarity.
        bias: Initial r; negative, so that a walk goes on at first.
        noise: Standard deviation of noise on the energies in training, which makes p go to 0 or 1.
        hard: Whether one item is selected when not training; else the expected alignment is used then, too.
        restart: Whether every query walks from the first item, and not from where the one before it stopped. Queries
            then need not wait for each other.
    """

    def __init__(
        self,
        score: Any = None,
        bias: float = -1.0,
        noise: float = 1.0,
        hard: bool = True,
        restart: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(score, **kwargs)
        self.bias, self.noise, self.hard, self.restart = bias, noise, hard, restart
        self.generator = keras.random.SeedGenerator()

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes g, r and the similarity's weights."""
        super().build(query_shape, value_shape, key_shape)
        constant = keras.initializers.Constant(self.bias)
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")
        self.offset = self.add_weight(shape=(), initializer=constant, name="offset")

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`.

        `state` [..., S]: the weights of selection of the query before, those of `initial_state` for none.

        Raises:
            ValueError: if the number of queries is not known and they do not restart.
        """
        energies, mask = self.scored(query, value, key, mask)
        select, after = self._walk(self._stopping(energies, mask, training), state, training or not self.hard)
        weights = ops.cast(self._spread(select, query, value if key is None else key, mask), energies.dtype)
        return with_state(ops.matmul(weights, value), weights, state, after)

    def initial_state(self, batch: int, items: int) -> Any:
        """Before the first query: [B, S], at the first item."""
        return ops.broadcast_to(ops.one_hot(ops.zeros((1,), "int32"), items), (batch, items))

    def _stopping(self, energies: Any, mask: Any, training: bool) -> Any:
        """Energies of stopping, g · e + r, [..., U, S] float32; very negative where there is no item."""
        energies = ops.cast(energies, "float32") * ops.cast(self.gain, "float32") + ops.cast(self.offset, "float32")
        if training and self.noise:
            noise = keras.random.normal(ops.shape(energies), dtype="float32", seed=self.generator)
            energies = energies + self.noise * noise
        return energies if mask is None else ops.where(mask, energies, -1e9)

    def _walk(self, energies: Any, state: Any, soft: bool) -> tuple[Any, Any]:
        """Selections [..., U, S] and the state after them."""
        if self.restart and soft:
            return ops.sigmoid(energies) * ops.exp(passing(energies)), state
        if self.restart:
            return selected(energies, ops.cast(positions(energies) == 0.0, "float32")), state
        if energies.shape[-2] is None:
            raise ValueError("monotonic: expected a known number of queries: each starts where the one before stopped")
        first = ops.cast(positions(energies) == 0.0, "float32")
        before = ops.zeros_like(energies[..., 0, :]) + (first if state is None else ops.cast(state, "float32"))
        found = []
        for energy in ops.unstack(energies, energies.shape[-2], axis=-2):
            select = expected(energy, before) if soft else selected(energy, before)
            found.append(select)
            stopped = ops.sum(select, axis=-1, keepdims=True) > 0.5
            before = select if soft else ops.where(stopped, select, before)
        return ops.stack(found, axis=-2), before

    def _spread(self, select: Any, query: Any, key: Any, mask: Any) -> Any:
        """Weights from the selection, [..., U, S] both."""
        return select

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        own = {"bias": self.bias, "noise": self.noise, "hard": self.hard, "restart": self.restart}
        return super().get_config() | own
