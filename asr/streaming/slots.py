"""Many streams of different chunk sizes on one model: their state stays on the device, a slot each.

A step takes the slots that have a chunk, in a batch of one of a few sizes, so that few programs are compiled:
it gathers their state, runs `Engine.step` on it and puts the next state back in place.

Letters: B streams in a step, M slots.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.engine_kind import EngineKind
from asr.errors import AsrError
from asr.streaming.engine import Search
from asr.streaming.engines import AnyEngine, make_engine
from asr.streaming.phrase_lists import PhraseLists
from asr.streaming.store import make_store
from asr.transducer.model import Transducer


class SlotEngine:
    """The compiled steps of a model for several chunk sizes and batch sizes over the same slots.

    Args:
        model: The transducer, in float32.
        chunks_ms: Chunk sizes served.
        slots: M, streams at most.
        batches: Batch sizes that are compiled; a step of another size fills up the next larger one.
        search: How blocks are decoded; None: greedily.
        phrases: Lists of phrases that streams may follow; None: there are none.
        kind: What computes the steps.
        threads: As for `make_engine`.

    Raises:
        AsrError: for a chunk size that is not served, no slot or no batch size; as `make_engine`.
    """

    def __init__(
        self,
        model: Transducer,
        chunks_ms: Sequence[int],
        slots: int,
        batches: Sequence[int] = (1, 2, 4, 8, 16, 32),
        search: Search | None = None,
        phrases: PhraseLists | None = None,
        kind: EngineKind = EngineKind.xla,
        threads: int | None = None,
    ) -> None:
        """Makes the slots; nothing is compiled yet: see `warm_up`."""
        if slots < 1 or not chunks_ms or min(batches, default=0) < 1:
            raise AsrError(f"expected a slot, a chunk and a batch size or more, got {slots}, {chunks_ms}, {batches}")
        self.slots, self.phrases = slots, phrases
        self.batches = sorted({min(size, slots) for size in batches})
        self.engines = {
            (chunk_ms, size): make_engine(kind, model, chunk_ms, size, search=search, threads=threads)
            for chunk_ms in dict.fromkeys(chunks_ms)
            for size in self.batches
        }
        self._warm: set[tuple[int, int]] = set()
        # One more than there are streams: what fills up a batch is kept there.
        self._store = make_store(list(self.engines.values()), slots + 1)

    @property
    def largest(self) -> int:
        """Streams in a step at most."""
        return self.batches[-1]

    def engine(self, chunk_ms: int) -> AnyEngine:
        """The engine of a chunk size, for its sizes in samples and frames.

        Raises:
            AsrError: if it is not served.
        """
        if (chunk_ms, self.largest) not in self.engines:
            served = sorted({chunk for chunk, _ in self.engines})
            raise AsrError(f"chunk_ms: expected one of {', '.join(map(str, served))}, got {chunk_ms}")
        return self.engines[chunk_ms, self.largest]

    @property
    def lookahead_ms(self) -> int:
        """Audio after a chunk that its step waits for."""
        return next(iter(self.engines.values())).lookahead_ms

    @property
    def essential(self) -> list[tuple[int, int]]:
        """Programs that suffice to take any step: chunk size in ms and batch size, the largest of each chunk size."""
        return [(chunk_ms, size) for chunk_ms, size in self.engines if size == self.largest]

    def warm_up(
        self,
        progress: Callable[[int, int, float], None] = lambda chunk_ms, batch, seconds: None,
        programs: Iterable[tuple[int, int]] | None = None,
    ) -> None:
        """Compiles programs; no slot's state changes.

        With TensorFlow it may run in another thread than the one that takes steps: see `asr.streaming.warm_up`.

        Args:
            progress: Hears of each program and the seconds that it took.
            programs: Chunk size in ms and batch size of each; None: all.
        """
        for chunk_ms, size in self.engines if programs is None else programs:
            engine, started = self.engines[chunk_ms, size], time.perf_counter()
            nowhere, (samples, valid, reset, none) = np.full(size, self.slots), _nothing(engine)
            self._run(engine, nowhere, samples, valid, reset, none)
            if self.phrases is not None and self.phrases.lists:  # `LiteEngine` has another program for them
                self._run(engine, nowhere, samples, valid, reset, none + 1)
            self._warm.add((chunk_ms, size))
            progress(chunk_ms, size, time.perf_counter() - started)

    def step(
        self,
        chunk_ms: int,
        slots: Sequence[int],
        samples: NDArray[np.float32],
        valid: NDArray[np.int32],
        reset: NDArray[np.bool_],
        lists: NDArray[np.int32] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Advances these slots by a chunk.

        Args:
            chunk_ms: The chunk's size.
            slots: B different slots, B at most `largest`.
            samples: [B, samples of the chunk], as for `Engine.step`.
            valid: [B] int32, encoder frames to use.
            reset: [B] bool, slots in which a stream starts anew.
            lists: [B] int32, the place of each stream's phrases in `phrases`; None: they have none.

        Returns:
            The outputs of `Engine.step`, each [B, …].
        """
        count = len(slots)
        if not 0 < count <= self.largest or len(set(slots)) != count or not set(slots) <= set(range(self.slots)):
            raise AsrError(f"expected 1 to {self.largest} different slots below {self.slots}, got {list(slots)}")
        self.engine(chunk_ms)
        engine = self.engines[chunk_ms, self._size(chunk_ms, count)]
        given = (samples, valid, reset, np.zeros(count, np.int32) if lists is None else lists)
        filled = [np.zeros((engine.rows, *x.shape[1:]), x.dtype) for x in given]
        for whole, part in zip(filled, given, strict=True):
            whole[:count] = part
        index = np.full(engine.rows, self.slots)
        index[:count] = slots
        return {name: value[:count] for name, value in self._run(engine, index, *filled).items()}

    def _size(self, chunk_ms: int, count: int) -> int:
        """The batch size for so many streams: the smallest that is compiled, or else the smallest."""
        sizes = [size for size in self.batches if size >= count]
        return next((size for size in sizes if (chunk_ms, size) in self._warm), sizes[0])

    def _run(
        self, engine: AnyEngine, index: NDArray[Any], samples: Any, valid: Any, reset: Any, lists: Any
    ) -> dict[str, NDArray[Any]]:
        place = index.astype(np.int32)
        tables = None if self.phrases is None else self.phrases.tables
        state, out = engine.step(self._store.gather(place), samples, valid, reset, phrases=tables, lists=lists)
        self._store.scatter(place, state)
        return out


def _nothing(engine: AnyEngine) -> tuple[NDArray[Any], ...]:
    """Inputs of a step in which no row has a chunk."""
    rows = engine.rows
    samples = np.zeros((rows, engine.samples), np.float32)
    return samples, np.zeros(rows, np.int32), np.zeros(rows, bool), np.zeros(rows, np.int32)
