"""What an idle stream keeps in the worker, measured."""

import gc
from pathlib import Path

from asr.engine_kind import EngineKind
from asr.streaming.engines import AnyEngine, make_engine
from asr.streaming.store import Store, make_store
from asr.transducer.model import Transducer

STREAMS = 128
PAGE_KIB = 4


def resident_bytes() -> int:
    """Memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_KIB * 1024


def idle_stream_mib(model: Transducer, kind: EngineKind, chunk_ms: int = 320) -> float:
    """Growth of the process by the state of `STREAMS` streams, each of which heard something, by their number, in MiB.

    Audio that waits for its chunk, and the words of the open segment, come on top: at most some 50 kB.
    """
    engine = make_engine(kind, model, chunk_ms, STREAMS)
    kept = [_store(engine, kind)]  # what comes once only, such as compiling, is in the first one's growth
    gc.collect()
    before = resident_bytes()
    kept.append(_store(engine, kind))
    gc.collect()
    return round((resident_bytes() - before) / STREAMS / 2**20, 2)


def _store(engine: AnyEngine, kind: EngineKind) -> Store:
    """State of `STREAMS` streams, all of which has been written to."""
    import keras
    import numpy as np

    store = make_store([engine], STREAMS)
    every = np.arange(STREAMS, dtype=np.int32)
    state = store.gather(every)
    if kind is EngineKind.xla:
        store.scatter(every, keras.tree.map_structure(lambda x: x + 1, state))
    else:
        rings = state["encoder"].state
        for array in (rings.tail, *rings.small, *rings.rings):
            array += 1  # pages of zeros are none until they are written to
    return store
