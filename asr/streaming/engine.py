"""The compiled step: samples of one chunk of many streams to labels, state in and state out.

One function of (state, chunk) with fixed shapes holds log-mel, encoder, block joint and greedy decoding. Every stream
has a row; rows without a chunk keep their state, bit by bit, and no row's result depends on another's.

Letters: B rows, C encoder frames per chunk, W frames per block, M labels at most per block.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.decoding.greedy import GreedySearch
from asr.decoding.heads import Head
from asr.decoding.hypotheses import Hypotheses
from asr.decoding.phrases import PhraseTables
from asr.decoding.words import WordRule
from asr.encoder.encoder import FRAMES_PER_STEP
from asr.errors import AsrError
from asr.features import HOP_SAMPLES, SAMPLE_RATE
from asr.features.frontend import LogMelFrontend
from asr.transducer.joint import MAX_BLOCK
from asr.transducer.model import Transducer

FRAME_SAMPLES = FRAMES_PER_STEP * HOP_SAMPLES  # samples per encoder frame
FRAME_MS = 1000 * FRAME_SAMPLES // SAMPLE_RATE  # 80 ms
NUMBERS = 2**17  # more than the export of a step's programs takes, of which none took 20,000; 16 ms to count

State = Any  # a tree of backend tensors, each [B, …]


class Search(Protocol):
    """What decodes blocks inside the step: `GreedySearch`, `BeamSearch`, `PhonemeSearch`."""

    @property
    def head(self) -> Head | None:
        """The CTC head whose log-probabilities `frames` has, too."""

    @property
    def identity(self) -> str:
        """What of it is part of a program besides its variables and constants."""

    @property
    def variables(self) -> list[keras.Variable]:
        """All that it may read."""

    @property
    def constants(self) -> Sequence[Any]:
        """Tensors that it may read besides."""

    @property
    def word_rule(self) -> WordRule:
        """How its labels become word times and confidences."""

    def hypotheses(self, frame_ms: int, phrases: Sequence[str] = (), weight: float = 0.0) -> Hypotheses:
        """What takes the outputs of a stream that follows these phrases."""

    def frames(self, lower: Any, upper: Any) -> Any:
        """What `block` takes of encoder frames: [B, 2C, D] at 40 ms and [B, C, D] at 80 ms -> [B, C, F]."""

    def initial_state(self, batch: int) -> State:
        """State of `batch` new streams."""

    def nothing(self, batch: int, size: int) -> dict[str, Any]:
        """What `block` gives, all zero, for `batch` streams and blocks of `size` frames."""

    def block(
        self, frames: Any, state: State, active: Any, end_bias: Any, phrases: Any = None, lists: Any = None
    ) -> tuple[State, dict[str, Any]]:
        """Decodes one block of every active stream: the next state and the outputs, each [B, …]."""


def chunk_frames(chunk_ms: int) -> int:
    """Encoder frames of a chunk.

    Raises:
        AsrError: unless `chunk_ms` is 160, 320, or a multiple of 640 up to 20480.
    """
    if chunk_ms in (160, 320) or (chunk_ms % 640 == 0 and 0 < chunk_ms <= 20_480):
        return chunk_ms // FRAME_MS
    raise AsrError(f"chunk_ms: expected 160, 320 or a multiple of 640 up to 20480, got {chunk_ms}")


def check_samples(samples: NDArray[np.float32], rows: int, count: int) -> None:
    """Raises AsrError unless the samples of a step are [rows, count]."""
    if samples.shape != (rows, count):
        raise AsrError(f"expected samples of shape {[rows, count]}, got {list(samples.shape)}")


class Engine:
    """A model's compiled step for one chunk size and one number of rows.

    Args:
        model: The transducer, in float32.
        chunk_ms: Audio per chunk.
        rows: B, streams at most.
        mode: "compiled" (XLA), "graph" (TensorFlow's graph, operation by operation) or "eager".
        search: How blocks are decoded; None: greedily.

    Raises:
        AsrError: for a chunk size that is not served.
    """

    def __init__(
        self, model: Transducer, chunk_ms: int, rows: int, mode: str = "compiled", search: Search | None = None
    ) -> None:
        """Traces nothing yet: the first step compiles."""
        self.model, self.rows, self.search = model, rows, search or GreedySearch(model)
        self.frames = chunk_frames(chunk_ms)
        self.block = min(self.frames, MAX_BLOCK)
        self.chunk_samples = self.frames * FRAME_SAMPLES
        self.ahead_samples = model.config.lookahead_frames * FRAME_SAMPLES
        self.samples = self.chunk_samples + self.ahead_samples  # of a step
        self.frontend = LogMelFrontend()
        self._fresh = self.initial_state(1)  # one row serves all
        self._step = compiled(self._advance, mode)

    @property
    def lookahead_ms(self) -> int:
        """Audio after a chunk that its step waits for."""
        return 1000 * self.ahead_samples // SAMPLE_RATE

    def initial_state(self, rows: int | None = None) -> State:
        """State of B new streams, or of as many as `rows`."""
        rows = rows or self.rows
        return {
            "frontend": self.frontend.initial_state(rows),
            "encoder": self.model.encoder.initial_state(rows),
            "decoder": self.search.initial_state(rows),
        }

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
        """Advances every row that has a chunk.

        Args:
            state: From `initial_state` or the step before.
            samples: [B, (C + R) x 1280] float32 mono at 16 kHz, the chunk and its look-ahead of R frames, which come
                again with the next; zeros past a stream's end.
            valid: [B] int32, encoder frames to use: a multiple of W, or C + R; 0: the row has no chunk and keeps its
                state.
            reset: [B] bool, rows that start a new stream with this chunk.
            end_bias: Added to the end-of-block logit: above 0, fewer labels.
            phrases: Lists of phrases to favour; tables of another shape, or none, are another program.
            lists: [B] int32, the list of each row; None: 0, which has no phrases.

        Returns:
            The next state, and arrays "labels" [B, C / W, M] int32 (-1: none), "log_probs" [B, C / W, M],
            "frames" [B, C / W, M] int32 (frame of the chunk that a label attended to most; negative: before the chunk),
            "weights" [B, C / W, M, H, lookback + W] of its attention, "end" [B, C / W] (probability that a block
            had no label) and "done" [B, C / W] (that it had no more). A beam search's, but for end, have an axis of K
            hypotheses after the blocks', and there are "parents" and "scores": see `BeamSearch.block`. A phoneme
            search's have "phonemes" [B, C / W, 2W, P + 1] and "heard" [B, C / W] besides: see `PhonemeSearch.block`.
        """
        check_samples(samples, self.rows, self.samples)
        lists = np.zeros(self.rows, np.int32) if lists is None else lists
        inputs = (ops.convert_to_tensor(x) for x in (samples, valid, reset, np.float32(end_bias), lists))
        state, out = self._step(state, *inputs, phrases)
        return state, {name: np.asarray(value) for name, value in out.items()}

    def _advance(
        self, state: State, samples: Any, valid: Any, reset: Any, end_bias: Any, lists: Any, phrases: Any
    ) -> tuple[State, Any]:
        state = select(reset, self._fresh, state)
        frames, frontend = self.frontend.step(samples[:, : self.chunk_samples], state["frontend"])
        if self.ahead_samples:
            later, _ = self.frontend.step(samples[:, self.chunk_samples :], frontend)
            frames = ops.concatenate([frames, later], axis=1)
        lower, upper, encoder = self.model.encoder.step(frames, state["encoder"], valid)
        keys = self.search.frames(lower, upper)  # [B, C, F]
        decoder, out = decode_chunk(self.search, keys, state["decoder"], valid, end_bias, phrases, lists)
        following = {"frontend": frontend, "encoder": encoder, "decoder": decoder}
        return select(valid > 0, following, state), out


def decode_chunk(
    search: Search, keys: Any, state: State, valid: Any, end_bias: Any, phrases: PhraseTables | None, lists: Any
) -> tuple[State, dict[str, Any]]:
    """Decodes the blocks of a chunk: [B, C, F] of `Search.frames`, the rest as `Engine.step`; also its outputs."""
    count = keys.shape[1]
    size = min(count, MAX_BLOCK)
    if count == size:
        state, out = search.block(keys, state, valid > 0, end_bias, phrases, lists)
        return state, {name: value[:, None] for name, value in out.items()}

    # In a loop: an offline chunk has 24 blocks, and 24 copies of a beam would take a minute and 4 GB to compile.
    blocks = ops.swapaxes(ops.reshape(keys, (-1, count // size, size, keys.shape[2])), 0, 1)  # [N, B, W, F]
    nothing = search.nothing(keys.shape[0], size)
    found = {name: ops.tile(x[None], (count // size, *(1,) * len(x.shape))) for name, x in nothing.items()}

    def block(n: Any, state: State, found: dict[str, Any]) -> tuple[Any, State, dict[str, Any]]:
        state, out = search.block(blocks[n], state, valid > n * size, end_bias, phrases, lists)
        out = out | {"frames": out["frames"] + n * size}
        return n + 1, state, {name: _put(found[name], n, value) for name, value in out.items()}

    begin = ops.convert_to_tensor(0, "int32"), state, found
    _, state, found = ops.while_loop(lambda n, *_: n < count // size, block, begin)
    return state, {name: ops.swapaxes(value, 0, 1) for name, value in found.items()}


def _put(into: Any, n: Any, value: Any) -> Any:
    """`into` [N, …] with `value` […] at n."""
    return ops.slice_update(into, (n, *(0,) * len(value.shape)), value[None])


def select(rows: Any, chosen: State, other: State) -> State:
    """Row by row, `chosen` where `rows` [B] is true; one row of either serves all."""

    def pick(a: Any, b: Any) -> Any:
        return ops.where(ops.reshape(rows, (-1,) + (1,) * (len(a.shape) - 1)), a, b)

    return keras.tree.map_structure(pick, chosen, other)


def compiled(function: Callable[..., Any], mode: str) -> Callable[..., Any]:
    """The function as the backend runs it in this mode.

    Raises:
        AsrError: for an unknown mode, or one that the backend does not have.
    """
    backend = keras.backend.backend()
    if mode == "eager":
        return function
    if backend == "tensorflow" and mode in ("compiled", "graph"):
        import tensorflow as tf

        # Each a partial of its own: TensorFlow warns of much tracing by a function's code, which all share.
        return tf.function(partial(_numbered, function), jit_compile=mode == "compiled", autograph=False)
    if backend == "jax" and mode == "compiled":
        import jax

        return jax.jit(function)
    raise AsrError(f"engine: expected a mode that {backend} has (compiled, eager), got {mode!r}")


def _numbered(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function, while it is traced: with TensorFlow's numbers from the next multiple of `NUMBERS` on.

    It numbers all that it makes, and the numbers are part of its functions' names, by which kept programs are found
    again: without this they were not, if anything else was made in the process before, such as LiteRT's programs.
    """
    from tensorflow.python.framework import ops as numbered

    while (numbered.uid() + 1) % NUMBERS:
        pass
    return function(*arguments)
