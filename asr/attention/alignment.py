"""Attention by position as well as similarity: mechanisms that decide where, around one that decides what."""

from typing import Any, Self

import keras
from keras import ops

from asr.attention.general import General
from asr.attention.interface import Attention
from asr.attention.masking import per_query
from asr.attention.similarity import SimilarityAttention


class AlignmentAttention(Attention):
    """Base of the mechanisms that restrict, select or walk, over the energies of any similarity.

    Args:
        score: The similarity; None: `General`, as Luong et al. found best for local attention.
    """

    def __init__(self, score: SimilarityAttention | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.score = General(name="score") if score is None else score

    def build(self, query_shape: Any, value_shape: Any, key_shape: Any = None) -> None:
        """Makes the similarity's weights."""
        self.score.build(query_shape, value_shape, key_shape)

    def scored(self, query: Any, value: Any, key: Any, mask: Any) -> tuple[Any, Any]:
        """Energies [..., U, S] and the mask of their items, [..., 1 or U, S] or None."""
        energies = self.score.energies(query, value if key is None else key)
        return energies, None if mask is None else per_query(mask, query)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor."""
        return super().get_config() | {"score": unbuilt(self.score)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The layer of a `get_config`."""
        layers = {
            name: keras.saving.deserialize_keras_object(value)
            for name, value in config.items()
            if isinstance(value, dict) and "registered_name" in value and name != "dtype"
        }
        return cls(**(config | layers))


def unbuilt(layer: SimilarityAttention) -> dict[str, Any]:
    """A part's configuration, without the shapes it was built with: the whole says those."""
    config: dict[str, Any] = keras.saving.serialize_keras_object(layer)
    config.pop("build_config", None)
    return config


def positions(energies: Any) -> Any:
    """0, 1, … S - 1, float32, of energies [..., U, S]."""
    return ops.cast(ops.arange(ops.shape(energies)[-1], dtype="int32"), "float32")
