"""Monotonic chunkwise attention, MoChA (Chiu & Raffel 2018, 1712.05382)."""

from typing import Any

import keras
from keras import ops

from asr.attention.alignment import unbuilt
from asr.attention.general import General
from asr.attention.masking import MASKED
from asr.attention.monotonic import Monotonic


def _shifted(x: Any, left: int, right: int, fill: float) -> Any:
    """Moves [..., S] by `left` items to later places, or by `right` to earlier ones."""
    lead = [(0, 0)] * (len(x.shape) - 1)
    moved = ops.pad(x, [*lead, (left, right)], constant_values=fill)
    return moved[..., :-left] if left else moved[..., right:]


def spread_over_chunks(select: Any, energies: Any, chunk: int) -> Any:
    """β_s = Σ_{k = s}^{s + w − 1} α_k exp(u_s) / Σ_{l = k − w + 1}^{k} exp(u_l): Chiu & Raffel, equation 24.

    Args:
        select: α [..., U, S].
        energies: u [..., U, S] float32, very negative where there is no item.
        chunk: w, at least 1.

    Returns:
        β [..., U, S]; its sum is that of α.
    """
    if chunk == 1:
        return select
    windows = ops.stack([_shifted(energies, i, 0, MASKED) for i in range(chunk)], axis=-1)  # [..., S, w], i items back
    shares = ops.unstack(ops.softmax(windows, axis=-1), chunk, axis=-1)
    return sum(_shifted(select * share, 0, i, 0.0) for i, share in enumerate(shares))


@keras.saving.register_keras_serializable(package="earshot")
class MoChA(Monotonic):
    """Monotonic attention selects an item; a softmax over the w items that end there makes the context.

    Chiu & Raffel 2018 (1712.05382), section 2.3: as online and linear as `Monotonic`, but a label may hear more than
    one frame, and again what the label before it heard. Two similarities: where to stop, and what to hear there.

    Args:
        chunk: w, memory items.
        chunk_score: The similarity inside a chunk; None: `General`.
        score: The similarity that selects.
        **options: Those of `Monotonic`.
    """

    def __init__(self, chunk: int, chunk_score: Any = None, score: Any = None, **options: Any) -> None:
        super().__init__(score, **options)
        if chunk < 1:
            raise ValueError(f"mocha: expected a chunk of at least 1 item, got {chunk}")
        self.chunk = chunk
        self.chunk_score = General(name="chunk_score") if chunk_score is None else chunk_score

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes the weights of both similarities, g and r."""
        super().build(query_shape, value_shape, key_shape)
        self.chunk_score.build(query_shape, value_shape, key_shape)

    def _spread(self, select: Any, query: Any, key: Any, mask: Any) -> Any:
        energies = ops.cast(self.chunk_score.energies(query, key), "float32")
        if mask is not None:
            energies = ops.where(mask, energies, MASKED)
        return spread_over_chunks(select, energies, self.chunk)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"chunk": self.chunk, "chunk_score": unbuilt(self.chunk_score)}
