"""Softmax over the memory items that exist."""

from typing import Any

from keras import ops

from asr.fused import fused

MASKED = -1e9  # score of an item that must not be seen; finite, so that a row without items stays finite


def per_query(mask: Any, query: Any) -> Any:
    """Brings a mask [..., S] to [..., 1, S], that of queries [..., U, P]; one of [..., U, S] stays as it is.

    Raises:
        ValueError: for a mask of another rank.
    """
    rank = len(query.shape)
    if len(mask.shape) == rank - 1:
        return ops.expand_dims(mask, -2)
    if len(mask.shape) == rank:
        return mask
    raise ValueError(f"expected a mask of {rank - 1} or {rank} axes for queries of {rank}, got {len(mask.shape)}")


@fused
def _softmax(energies: Any) -> Any:
    return ops.cast(ops.softmax(ops.cast(energies, "float32"), axis=-1), energies.dtype)


@fused
def _masked_softmax(energies: Any, mask: Any) -> Any:
    weights = ops.softmax(ops.where(mask, ops.cast(energies, "float32"), MASKED), axis=-1)
    return ops.cast(ops.where(mask, weights, 0.0), energies.dtype)


def masked_softmax(energies: Any, mask: Any) -> Any:
    """Softmax over the last axis, in float32.

    Args:
        energies: [..., U, S].
        mask: [..., 1 or U, S] bool, or None.

    Returns:
        [..., U, S] in the dtype of the energies; 0 where masked, so a row without items sums to zero.
    """
    return _softmax(energies) if mask is None else _masked_softmax(energies, mask)
