"""Area attention over spans (Li et al. 2018, 1810.10126), one dimension."""

import functools
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from asr.attention.alignment import AlignmentAttention
from asr.attention.interface import with_state
from asr.attention.masking import MASKED, masked_softmax, per_query
from asr.attention.similarity import last_axis
from asr.fused import fused


def running_sums(x: Any, axis: int, most: int) -> list[Any]:
    """Sums of 1, 2, … `most` neighbours along an axis (negative), each from the one before: S · A additions.

    The paper takes differences of a summed-area table, which costs the same, but makes each sum depend, by rounding, on
    all that came before it.
    """
    if x.shape[axis] is not None:
        most = min(most, x.shape[axis])
    sums = [x]
    for size in range(2, most + 1):
        rest, shifted = _cut(sums[-1], axis, None, -1), _cut(x, axis, size - 1, None)
        sums.append(rest + shifted)
    return sums


def _cut(x: Any, axis: int, first: int | None, last: int | None) -> Any:
    return x[(..., slice(first, last), *(slice(None),) * (-axis - 1))]


@functools.cache
def mixture(span: int) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Area attention from the energies of single items, where an area's key is its mean and its value its sum.

    An energy that is linear in the key, as a dot product is, has for the mean of keys the mean of energies; and a
    weighted sum of areas is a weighted sum of items. So no area is ever made.

    Args:
        span: A, items of the largest area.

    Returns:
        A function of energies [..., S] float32 and a mask [..., S] of the items that exist (axes of 1 broadcast). It
        returns what the values are to be multiplied with, [..., S], and each item's share of the weights, which sum to
        one: an area's weight is divided among its items.
    """

    def mix(energies: Any, mask: Any) -> tuple[Any, Any]:
        means = [total / size for size, total in enumerate(running_sums(energies, -1, span), start=1)]
        inside = running_sums(ops.cast(mask, "float32"), -1, span)
        exists = [count > size - 0.5 for size, count in enumerate(inside, start=1)]
        flat = ops.where(ops.concatenate(exists, axis=-1), ops.concatenate(means, axis=-1), MASKED)
        weights = ops.softmax(flat, axis=-1)
        mixed, shares, start = 0.0, 0.0, 0
        for size, mean in enumerate(means, start=1):
            part = weights[..., start : start + mean.shape[-1]]
            lead = [(0, 0)] * (len(part.shape) - 1)
            covered = sum(ops.pad(part, [*lead, (i, size - 1 - i)]) for i in range(size))  # [..., S]
            mixed, shares, start = mixed + covered, shares + covered / size, start + mean.shape[-1]
        return mixed, shares

    return fused(mix)


@keras.saving.register_keras_serializable(package="earshot")
class Area(AlignmentAttention):
    """The memory is every span of 1 to A neighbouring items: its key their mean, its value their sum.

    Li et al. 2018 (1810.10126), sections 3.1 and 3.2. A query may so ask for a whole sound and not for its frames. With
    `units`, the key is their equation 8: an MLP of mean, standard deviation and an embedding of the size.

    Letters: A items of the largest area, R areas: S of one item, then S − 1 of two, and so on.

    Args:
        span: A.
        units: Width of the key's MLP; None: the key is the mean.
        score: The similarity.
    """

    def __init__(self, span: int, units: int | None = None, score: Any = None, **kwargs: Any) -> None:
        super().__init__(score, **kwargs)
        if span < 1:
            raise ValueError(f"area: expected spans of at least 1 item, got {span}")
        self.span, self.units = span, units

    def sizes(self) -> list[int]:
        """How many sizes an area has along each dimension."""
        return [self.span]

    def areas(self, x: Any) -> list[tuple[Any, tuple[int, ...]]]:
        """Sums over areas of [..., S, D]: for each size, [..., its areas, D] and the size along each dimension."""
        return [(total, (size,)) for size, total in enumerate(running_sums(x, -2, self.span), start=1)]

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes the weights of the key's MLP and of the similarity."""
        super().build(query_shape, value_shape, key_shape)
        if self.units is None:
            return
        width = last_axis(value_shape, key_shape)
        self.mean_kernel = self.add_weight(shape=(width, self.units), name="mean")
        self.deviation_kernel = self.add_weight(shape=(width, self.units), name="deviation")
        self.embeddings = [
            self.add_weight(shape=(most, self.units), initializer="random_normal", name=f"size{i}")
            for i, most in enumerate(self.sizes())
        ]
        self.output_kernel = self.add_weight(shape=(self.units, width), name="output")

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Arguments and results as `Attention.call`, weights [..., U, R]; see `item_shares`. There is no state."""
        keys = self._keys(value if key is None else key)
        values = ops.concatenate([total for total, _ in self.areas(value)], axis=-2)  # [..., R, D]
        weights = masked_softmax(self.score.energies(query, keys), self._exist(mask, query))
        return with_state(ops.matmul(weights, values), weights, state, state)

    def item_shares(self, weights: Any, items: int) -> Any:
        """Divides each area's weight among its items: [..., U, R] -> [..., U, S], S = `items`; sums stay."""
        cover = [total / _count(size) for total, size in self.areas(ops.eye(items))]  # each [areas, S]
        return ops.matmul(weights, ops.cast(ops.concatenate(cover, axis=-2), weights.dtype))

    def _keys(self, key: Any) -> Any:
        """[..., S, K] -> [..., R, K]."""
        sums = self.areas(ops.cast(key, "float32"))
        means = [total / _count(size) for total, size in sums]
        if self.units is None:
            return ops.cast(ops.concatenate(means, axis=-2), key.dtype)
        squares = self.areas(ops.square(ops.cast(key, "float32")))
        found = []
        for mean, (square, size) in zip(means, squares, strict=True):
            variance = ops.maximum(square / _count(size) - ops.square(mean), 0.0)
            spread = ops.cast(ops.sqrt(variance + 1e-6), key.dtype)  # √0 has no gradient
            hidden = ops.matmul(ops.cast(mean, key.dtype), ops.cast(self.mean_kernel, key.dtype))
            hidden = hidden + ops.matmul(spread, ops.cast(self.deviation_kernel, key.dtype))
            for table, along in zip(self.embeddings, size, strict=True):
                hidden = hidden + ops.cast(table, key.dtype)[along - 1]
            found.append(ops.relu(hidden))
        return ops.matmul(ops.concatenate(found, axis=-2), ops.cast(self.output_kernel, key.dtype))

    def _exist(self, mask: Any, query: Any) -> Any:
        """Areas all of whose items exist: a mask of items -> [..., 1 or U, R], or None."""
        if mask is None:
            return None
        inside = self.areas(ops.expand_dims(ops.cast(per_query(mask, query), "float32"), -1))
        return ops.concatenate([count[..., 0] > _count(size) - 0.5 for count, size in inside], axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"span": self.span, "units": self.units}


def _count(size: tuple[int, ...]) -> int:
    """Items of an area of a size."""
    return functools.reduce(int.__mul__, size)
