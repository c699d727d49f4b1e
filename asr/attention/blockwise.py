"""Block-wise online attention (Jaitly et al. 2016, 1511.04868): the neural transducer's."""

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.attention.alignment import AlignmentAttention
from asr.attention.interface import with_state
from asr.attention.masking import masked_softmax, per_query


def block_index(items: int, block: int, lookback: int) -> NDArray[np.int64]:
    """Which memory items each block attends to.

    Args:
        items: S; what does not fill a block is left out.
        block: W, items per block.
        lookback: Items before the block.

    Returns:
        [N, lookback + W]; negative before the first item.
    """
    count = items // block
    return np.arange(count)[:, None] * block + np.arange(-lookback, block)[None, :]


@keras.saving.register_keras_serializable(package="earshot")
class BlockwiseOnline(AlignmentAttention):
    """α = softmax of the energies over one block of W items and a window before it, for every query in every block.

    Jaitly et al. 2016 (1511.04868), section 2.2; there is no window before the block in the paper. Labels come after W
    items, whatever the recording's length; which block a query belongs to is the transducer's to say, so contexts are
    given for all. `asr.transducer.joint` is this, with the other mechanisms inside the block.

    Letters: N blocks, W items per block, K = lookback + W.

    Args:
        block: W.
        lookback: Items before the block.
        score: The similarity.
    """

    def __init__(self, block: int, lookback: int = 0, score: Any = None, **kwargs: Any) -> None:
        super().__init__(score, **kwargs)
        if block < 1 or lookback < 0:
            raise ValueError(f"block-wise: expected a block above 0 and a look-back from 0, got {block} and {lookback}")
        self.block, self.lookback = block, lookback

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Attends in all blocks, or, with a state, in the next one.

        Args:
            query: [..., U, P].
            value: [..., S, D], S known; with a state the next block, [..., W, D].
            key: [..., S, K], or None.
            mask: As `Attention.call`.
            state: From `initial_state` or the block before.
            training: Not used.

        Returns:
            Contexts [..., N, U, D] and weights [..., N, U, K]; with a state those of the block, [..., U, D] and
            [..., U, K], and the next state.

        Raises:
            ValueError: if S is not known, or a state comes with a block of another size.
        """
        memory = {"value": value} if key is None else {"value": value, "key": key}
        if state is not None:
            return self._next(query, memory, mask, state)
        if value.shape[-2] is None:
            raise ValueError("block-wise: expected a known number of memory items")
        index = block_index(value.shape[-2], self.block, self.lookback)
        windows = {name: self._windows(x, index) for name, x in memory.items()}
        exists = ops.convert_to_tensor(index >= 0)  # [N, K]
        query = ops.expand_dims(query, -3)  # [..., 1, U, P]
        if mask is None:
            exists = exists[:, None]  # [N, 1, K]
        else:
            seen = ops.take(mask, np.maximum(index, 0).reshape(-1), axis=-1)
            seen = ops.reshape(seen, (*ops.shape(mask)[:-1], *index.shape))
            if len(mask.shape) == len(value.shape):  # [..., U, N, K]
                exists = ops.logical_and(ops.swapaxes(seen, -2, -3), exists[:, None])
            else:
                exists = per_query(ops.logical_and(seen, exists), query)
        return self._attend(query, windows, exists)

    def initial_state(self, batch: int, width: int, key_width: int | None = None) -> dict[str, Any]:
        """Before the first block: an empty window of `lookback` values (and keys, if those differ), none existing."""
        state = {"value": ops.zeros((batch, self.lookback, width), self.compute_dtype)}
        if key_width is not None:
            state["key"] = ops.zeros((batch, self.lookback, key_width), self.compute_dtype)
        return state | {"exists": ops.zeros((batch, self.lookback), "bool")}

    def _windows(self, x: Any, index: NDArray[np.int64]) -> Any:
        """[..., S, D] -> [..., N, K, D]."""
        taken = ops.take(x, np.maximum(index, 0).reshape(-1), axis=-2)
        return ops.reshape(taken, (*ops.shape(x)[:-2], *index.shape, x.shape[-1]))

    def _next(self, query: Any, memory: dict[str, Any], mask: Any, state: dict[str, Any]) -> tuple[Any, ...]:
        found = memory["value"].shape[-2]
        if found != self.block:
            raise ValueError(f"block-wise: expected a block of {self.block} memory items, got {found}")
        windows = {name: ops.concatenate([state[name], x], axis=-2) for name, x in memory.items()}
        every = ops.ones_like(memory["value"][..., 0], dtype="bool")  # [..., W]
        own = mask is not None and len(mask.shape) == len(memory["value"].shape)  # of each query, [..., U, W]
        here = ops.concatenate([state["exists"], every if mask is None or own else mask], axis=-1)  # [..., K]
        exists = per_query(here, query)  # [..., 1, K]
        if own:
            before = ops.repeat(ops.ones_like(mask[..., :1]), self.lookback, axis=-1)
            exists = ops.logical_and(exists, ops.concatenate([before, mask], axis=-1))
        kept = {name: x[..., self.block :, :] for name, x in windows.items()}
        kept["exists"] = here[..., self.block :]
        context, weights = self._attend(query, windows, exists)
        return with_state(context, weights, state, kept)

    def _attend(self, query: Any, windows: dict[str, Any], exists: Any) -> tuple[Any, Any]:
        weights = masked_softmax(self.score.energies(query, windows.get("key", windows["value"])), exists)
        return ops.matmul(weights, windows["value"]), weights

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"block": self.block, "lookback": self.lookback}
