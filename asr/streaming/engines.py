"""The engine of a kind."""

from asr.engine_kind import EngineKind
from asr.lite.export import Precision
from asr.streaming.engine import Engine, Search
from asr.streaming.lite_engine import LiteEngine
from asr.transducer.model import Transducer

AnyEngine = Engine | LiteEngine


def make_engine(
    kind: EngineKind,
    model: Transducer,
    chunk_ms: int,
    rows: int,
    mode: str = "compiled",
    search: Search | None = None,
    threads: int | None = None,
) -> AnyEngine:
    """An engine of this kind.

    Args:
        kind: What computes the step.
        model: The transducer, in float32.
        chunk_ms: Audio per chunk.
        rows: B, streams at most.
        mode: Of XLA's: see `Engine`.
        search: How blocks are decoded; None: greedily.
        threads: Of LiteRT's programs; None: as many as there are processors.

    Raises:
        AsrError: as `Engine` and `LiteEngine`.
    """
    if kind is EngineKind.xla:
        return Engine(model, chunk_ms, rows, mode, search)
    precision = Precision.int8 if kind is EngineKind.litert_int8 else Precision.float32
    return LiteEngine(model, chunk_ms, rows, precision, search, threads)
