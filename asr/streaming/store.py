"""State of many streams on the device: a step takes some rows of it and puts back what follows.

Letters: M slots.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.lite.state import RingRows, RingState
from asr.streaming.engine import State
from asr.streaming.engines import AnyEngine
from asr.streaming.lite_engine import LiteEngine, host


class Store(Protocol):
    """What keeps the state of all slots."""

    def gather(self, index: NDArray[np.int32]) -> State:
        """The state of these slots, for a step."""

    def scatter(self, index: NDArray[np.int32], rows: State) -> None:
        """Puts back what the step returned."""


class TensorFlowStore:
    """State of all slots in variables, which are changed in place."""

    def __init__(self, state: State) -> None:
        """Holds the state given."""
        import tensorflow as tf

        variables = [tf.Variable(x, trainable=False) for x in keras.tree.flatten(state)]
        structure = keras.tree.map_structure(lambda x: 0, state)  # not the state, which would stay in memory beside it

        def gather(index: Any) -> State:
            return keras.tree.pack_sequence_as(structure, [tf.gather(v, index) for v in variables])

        def scatter(index: Any, rows: State) -> None:
            for variable, values in zip(variables, keras.tree.flatten(rows), strict=True):
                variable.scatter_update(tf.IndexedSlices(values, index))

        self._gather = tf.function(gather, autograph=False)
        self._scatter = tf.function(scatter, autograph=False)

    def gather(self, index: NDArray[np.int32]) -> State:
        """The state of these slots, for a step."""
        return self._gather(keras.ops.convert_to_tensor(index))

    def scatter(self, index: NDArray[np.int32], rows: State) -> None:
        """Puts back what the step returned."""
        self._scatter(keras.ops.convert_to_tensor(index), rows)


class JaxStore:
    """State of all slots in arrays that are donated to each update, and so changed in place."""

    def __init__(self, state: State) -> None:
        """Holds the state given."""
        import jax

        self._state = state
        self._gather = jax.jit(lambda state, index: jax.tree.map(lambda x: x[index], state))
        self._scatter = jax.jit(
            lambda state, index, rows: jax.tree.map(lambda x, y: x.at[index].set(y), state, rows), donate_argnums=0
        )

    def gather(self, index: NDArray[np.int32]) -> State:
        """The state of these slots, for a step."""
        return self._gather(self._state, index)

    def scatter(self, index: NDArray[np.int32], rows: State) -> None:
        """Puts back what the step returned."""
        self._state = self._scatter(self._state, index, rows)


class LiteStore:
    """State for `LiteEngine`: its encoder's rings are written to by the step itself.

    Args:
        engines: All that use it.
        slots: M.
    """

    def __init__(self, engines: Sequence[LiteEngine], slots: int) -> None:
        """Every slot is new."""
        rings = [engine.encoder.ring for engine in engines]
        largest = max(ring.lower.ring for ring in rings), max(ring.upper.ring for ring in rings)
        self.encoder = RingState(rings[0], slots, largest)
        self._decoder = host(engines[0].search.initial_state(slots))

    def gather(self, index: NDArray[np.int32]) -> State:
        """The state of these slots, for a step."""
        decoder = keras.tree.map_structure(lambda x: x[index], self._decoder)
        return {"encoder": RingRows(self.encoder, index), "decoder": decoder}

    def scatter(self, index: NDArray[np.int32], rows: State) -> None:
        """Puts back what the step returned."""

        def put(store: NDArray[Any], values: NDArray[Any]) -> None:
            store[index] = values

        keras.tree.map_structure(put, self._decoder, rows["decoder"])


def make_store(engines: Sequence[AnyEngine], slots: int) -> Store:
    """State of `slots` new streams, for all of these engines, which are of one kind.

    Raises:
        AsrError: for a backend that cannot keep state in place.
    """
    lite = [engine for engine in engines if isinstance(engine, LiteEngine)]
    if lite:
        return LiteStore(lite, slots)
    (engine, *_) = (engine for engine in engines if not isinstance(engine, LiteEngine))
    state = engine.initial_state(slots)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return TensorFlowStore(state)
    if backend == "jax":
        return JaxStore(state)
    raise AsrError(f"expected TensorFlow or JAX as Keras's backend, got {backend}")
