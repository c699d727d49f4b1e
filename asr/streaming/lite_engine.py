"""The step on LiteRT: on a CPU it multiplies with weights in eight bits, which XLA does not.

Its programs keep no state and have no loops. What these cannot decode (phrases, beams, joints with another mechanism)
is decoded by a compiled program, with the same code as in `Engine`.
"""

from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from asr.decoding.greedy import GreedySearch
from asr.decoding.phonemes import PhonemeSearch
from asr.decoding.phrases import PhraseTables
from asr.errors import AsrError
from asr.lite.decoding import served
from asr.lite.export import Precision
from asr.lite.runtime import LiteEncoder, LiteGreedy
from asr.lite.state import RingRows, RingState
from asr.streaming.engine import (
    FRAME_SAMPLES,
    Search,
    State,
    check_samples,
    chunk_frames,
    decode_chunk,
)
from asr.streaming.kept_trace import KeptTrace
from asr.transducer.joint import MAX_BLOCK
from asr.transducer.model import Transducer


class LiteEngine:
    """As `Engine`, except that a step uses up the state that it is given: it writes to it in place.

    Args:
        model: The transducer, in float32.
        chunk_ms: Audio per chunk.
        rows: B, streams at most.
        precision: Of the encoder's weights.
        search: How blocks are decoded; None: greedily.
        threads: Of LiteRT's programs; None: as many as there are processors.

    Raises:
        AsrError: for a chunk size or a model that is not served, without LiteRT, or on another backend than TensorFlow.
    """

    def __init__(
        self,
        model: Transducer,
        chunk_ms: int,
        rows: int,
        precision: Precision,
        search: Search | None = None,
        threads: int | None = None,
    ) -> None:
        """Exports and compiles nothing yet: the first step does."""
        if keras.backend.backend() != "tensorflow":
            raise AsrError(f"engine: LiteRT needs TensorFlow as Keras's backend, got {keras.backend.backend()}")
        self.model, self.rows, self.search = model, rows, search or GreedySearch(model)
        self.frames = chunk_frames(chunk_ms)
        self.block = min(self.frames, MAX_BLOCK)
        self.samples = self.chunk_samples = self.frames * FRAME_SAMPLES
        self.ahead_samples = self.lookahead_ms = 0  # models with look-ahead are not served
        self.encoder = LiteEncoder(model, self.frames, self.samples, rows, precision, threads, self.search.head)
        self._search = KeptTrace(
            partial(decode_chunk, self.search), self.search.identity, self.search.variables, self.search.constants
        )
        self._greedy: LiteGreedy | None = None
        if isinstance(self.search, GreedySearch | PhonemeSearch) and served(model):
            self._greedy = LiteGreedy(model, self.block, rows, precision, threads)
        self._fresh = host(self.search.initial_state(1))  # one row serves all

    def initial_state(self) -> State:
        """State of B new streams."""
        encoder = RingRows(RingState(self.encoder.ring, self.rows), np.arange(self.rows))
        return {"encoder": encoder, "decoder": host(self.search.initial_state(self.rows))}

    def step(
        self,
        state: State,
        samples: NDArray[np.float32],
        valid: NDArray[np.int32],
        reset: NDArray[np.bool_],
        end_bias: float = 0.0,
        phrases: PhraseTables | None = None,
        lists: NDArray[np.int32] | None = None,
    ) -> tuple[State, dict[str, NDArray[Any]]]:
        """As `Engine.step`; the state given is used up."""
        check_samples(samples, self.rows, self.samples)
        keys = self.encoder(state["encoder"], samples, valid, reset)
        decoder = keras.tree.map_structure(partial(_where_row, reset), self._fresh, state["decoder"])
        lists = np.zeros(self.rows, np.int32) if lists is None else lists
        decoder, out = self._decoded(keys, decoder, valid, end_bias, phrases, lists)
        return {**state, "decoder": decoder}, out

    def _decoded(
        self,
        keys: NDArray[np.float32],
        state: State,
        valid: NDArray[np.int32],
        end_bias: float,
        phrases: PhraseTables | None,
        lists: NDArray[np.int32],
    ) -> tuple[State, dict[str, NDArray[Any]]]:
        """Rows with phrases by the compiled search, the others by the exported program, whoever shares the batch."""
        followed = phrases is not None and not isinstance(self.search, PhonemeSearch)
        biased = lists > 0 if followed else np.zeros(self.rows, bool)
        if self._greedy is None:
            biased[:] = True
        plain = None if biased.all() else self._by_blocks(keys, state, valid, end_bias)
        if not biased.any():
            assert plain is not None
            return plain
        searched = self._search(keys, state, valid, np.float32(end_bias), phrases, lists)
        found = searched if plain is None else keras.tree.map_structure(partial(_where_row, biased), searched, plain)
        return found[0], found[1]

    def _by_blocks(
        self, keys: NDArray[np.float32], state: State, valid: NDArray[np.int32], end_bias: float
    ) -> tuple[State, dict[str, NDArray[Any]]]:
        """As `decode_chunk`, with the exported program."""
        assert self._greedy is not None
        width, starts, blocks = 2 * self.model.joint.joint_dim, np.arange(0, self.frames, self.block), []
        for start in starts:
            block = keys[:, start : start + self.block, :width]
            state, out = self._greedy(block, state, valid > start, end_bias)
            out["frames"] += start
            blocks.append(out)
        found: dict[str, NDArray[Any]] = {name: np.stack([out[name] for out in blocks], axis=1) for name in blocks[0]}
        if isinstance(self.search, PhonemeSearch):
            shape = (self.rows, len(starts), 2 * self.block, self.model.config.phonemes + 1)
            found |= {"phonemes": keys[..., width:].reshape(shape), "heard": valid[:, None] > starts}
        return state, found


def host(tree: Any) -> Any:
    """A tree of tensors as arrays that may be written to."""
    return keras.tree.map_structure(np.array, tree)


def _where_row(rows: NDArray[np.bool_], chosen: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """Row by row, `chosen` where `rows` [B] is true; one row of it serves all."""
    if not rows.any():
        return other
    return np.where(rows.reshape(-1, *[1] * (other.ndim - 1)), chosen, other)
