"""The exported programs at work, on LiteRT's CPU kernels (XNNPACK)."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.decoding.heads import Head
from asr.errors import AsrError
from asr.features import HOP_SAMPLES
from asr.lite.decoding import UnrolledGreedy, hidden_frames, outputs_of
from asr.lite.encoder import RingEncoder
from asr.lite.export import Precision, export_encoder, export_frontend, export_greedy, fingerprint, kept
from asr.lite.state import Places, RingRows
from asr.quick_import import without_notices
from asr.transducer.model import Transducer

Array = NDArray[np.float32]
NONE: Places = np.zeros(0, np.int64)


class LiteEncoder:
    """Samples of a chunk to the joint's keys and values, for B rows.

    Args:
        model: The transducer.
        frames: C, encoder frames of the chunk.
        samples: Samples of the chunk.
        rows: B.
        precision: Of the encoder's weights.
        threads: Of each program; None: as many as there are processors.
        head: As `RingEncoder` takes it.

    Raises:
        AsrError: if LiteRT is not installed, or does not serve the model.
    """

    def __init__(
        self,
        model: Transducer,
        frames: int,
        samples: int,
        rows: int,
        precision: Precision,
        threads: int | None = None,
        head: Head | None = None,
    ) -> None:
        """Exports nothing yet: the first step does."""
        self.ring = RingEncoder(model, frames, rows, head)
        self._model, self._samples, self._precision, self._threads = model, samples, precision, threads
        self._programs: tuple[_Program, _Program] | None = None
        _interpreter_class()

    def __call__(self, at: RingRows, samples: Array, valid: Places, reset: NDArray[np.bool_]) -> Array:
        """Encodes a chunk of some slots.

        Args:
            at: The slots; their state is changed in place.
            samples: [B, n].
            valid: [B] encoder frames of the chunk to use; 0: the slot keeps its state.
            reset: [B] bool, slots that are made new first.

        Returns:
            [B, C, 2J], with a head more: see `RingEncoder.step`.
        """
        frontend, encoder = self._loaded()
        state, slots, valid = at.state, at.slots, valid.astype(np.int64)
        if reset.any():
            state.reset(slots[reset])
        (mel,) = frontend([samples, state.tail[slots]])
        seen = state.seen[slots]
        below = self.ring.lower.side_inputs(2 * seen, 2 * valid)
        above = self.ring.upper.side_inputs(seen, valid)
        small = [array[slots] for array in state.small]
        outputs = encoder([mel, *below, *above, *small], state.rings, slots)
        rows = np.flatnonzero(valid)
        state.keep(slots[rows], rows, outputs[1:], self.ring, samples)
        return outputs[0]

    def _loaded(self) -> tuple["_Program", "_Program"]:
        if self._programs is None:
            ring, model, rows = self.ring, self._model, self.ring.rows
            mean, deviation = np.asarray(model.encoder.mean), np.asarray(model.encoder.deviation)
            size = f"{self._samples}-{rows}-{fingerprint(model)}"
            frontend = kept(f"frontend-{size}", lambda: export_frontend(self._samples, rows, mean, deviation))
            frames = self._samples // HOP_SAMPLES
            name = f"encoder{f'-{ring.head}' if ring.head else ''}-{self._precision}-{size}"
            encoder = kept(name, lambda: export_encoder(ring, frames, self._precision))
            self._programs = _Program(frontend, self._threads), _Program(encoder, self._threads)
        return self._programs


class LiteGreedy:
    """Keys and values of a block to labels, for B rows, without phrases.

    Args:
        model: The transducer; see `asr.lite.decoding.served`.
        block: W, encoder frames of a block.
        rows: B.
        precision: Of the weights.
        threads: As for `LiteEncoder`.
    """

    def __init__(
        self, model: Transducer, block: int, rows: int, precision: Precision, threads: int | None = None
    ) -> None:
        """Exports nothing yet: the first block does."""
        self._greedy = UnrolledGreedy(model, block, rows)
        self._model, self._precision, self._threads = model, precision, threads
        self._program: _Program | None = None

    def __call__(
        self, frames: Array, state: dict[str, Array], active: NDArray[np.bool_], end_bias: float
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """As `asr.decoding.greedy.decode_block`, in NumPy."""
        greedy = self._greedy
        if self._program is None:
            name = f"greedy-{self._precision}-{greedy.block}-{greedy.rows}-{fingerprint(self._model)}"
            self._program = _Program(kept(name, lambda: export_greedy(greedy, self._precision)), self._threads)
        hidden = hidden_frames(state["seen"], greedy.lookback, greedy.block)
        alive, bias = active[:, None].astype(np.float32), np.full((1, 1), end_bias, np.float32)
        given = [frames, state["window"], hidden, state["predictor"], alive, bias]
        predictor, logits, said, looks = self._program(given)
        window = np.concatenate([state["window"], frames], axis=1)[:, greedy.block :]
        following = {
            "predictor": predictor,
            "phrase": state["phrase"],  # nobody follows phrases here
            "window": np.where(active[:, None, None], window, state["window"]),
            "seen": np.where(active, np.minimum(state["seen"] + greedy.block, greedy.lookback), state["seen"]),
        }
        return following, outputs_of(logits, said, looks, active, end_bias, greedy.lookback)


class _Program:
    """A LiteRT program whose inputs are copied once, straight to where it reads them."""

    def __init__(self, content: bytes, threads: int | None) -> None:
        with without_notices():
            self._interpreter = _interpreter_class()(model_content=content, num_threads=threads or os.cpu_count())
            self._interpreter.allocate_tensors()
        self._inputs = [
            one["index"] for one in sorted(self._interpreter.get_input_details(), key=lambda one: one["name"])
        ]
        self._outputs = [one["index"] for one in self._interpreter.get_output_details()]

    def __call__(self, given: list[Array], stores: Sequence[Array] = (), slots: Places = NONE) -> list[Array]:
        """Runs it; after the inputs given come rows of the stores."""
        interpreter = self._interpreter
        for index, value in zip(self._inputs, given, strict=False):
            interpreter.tensor(index)()[...] = value
        for index, store in zip(self._inputs[len(given) :], stores, strict=True):
            view = interpreter.tensor(index)()
            if store.shape[2] == view.shape[2]:
                np.take(store, slots, axis=0, out=view, mode="clip")  # other modes make a copy first
            else:
                view[...] = store[slots, :, : view.shape[2]]
            del view  # the interpreter refuses to run while there is one
        interpreter.invoke()
        return [interpreter.get_tensor(index) for index in self._outputs]


def _interpreter_class() -> Any:
    """Raises AsrError if LiteRT is not installed."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("ai_edge_litert"):
            raise
        raise AsrError("engine: LiteRT is not installed; it needs: pip install 'earshot[litert]'") from None
    return Interpreter
