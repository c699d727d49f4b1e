"""The interface of every attention mechanism: from queries and a memory to contexts, with the weights to look at.

Letters of this package: U queries, S memory items, P query width, D memory width, H heads; "..." is any leading axes
(a batch; or a batch and its blocks), which broadcast against each other.
"""

from typing import Any

import keras


class Attention(keras.layers.Layer):
    """Base of the mechanisms; a subclass says how weights come about.

    Weights are returned, so that they can be drawn and tested. Every layer follows the dtype of its inputs, so that
    its `call` may also be used as a plain function inside another layer.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True  # `call` takes a mask; contexts have none (`compute_mask`)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> None:
        """No mask goes on: there is a context for every query."""

    def call(
        self, query: Any, value: Any, key: Any = None, mask: Any = None, state: Any = None, training: bool = False
    ) -> tuple[Any, ...]:
        """Attends.

        Args:
            query: [..., U, P].
            value: [..., S, D], the memory.
            key: [..., S, K], what queries are compared with; None: the values.
            mask: Bool, memory items that exist: [..., S] for all queries or [..., U, S] for each; None: all.
            state: What queries before these left, in mechanisms that have such a thing; None: these are the first.
            training: Whether what is random in training is random.

        Returns:
            Contexts [..., U, D] and weights [..., U, S]; and the next state, if one was given.
        """
        raise NotImplementedError


def with_state(context: Any, weights: Any, before: Any, after: Any) -> tuple[Any, ...]:
    """What `call` returns: the state `after` only to callers that gave one `before`."""
    return (context, weights) if before is None else (context, weights, after)
