"""The engine of a kind."""

from importlib.util import find_spec

import keras

from asr.config import ModelConfig
from asr.engine_kind import EngineKind
from asr.lite.encoder import refusal
from asr.lite.export import Precision
from asr.streaming.engine import Engine, Search
from asr.streaming.lite_engine import LiteEngine
from asr.transducer.model import Transducer

AnyEngine = Engine | LiteEngine


def chosen(kind: EngineKind, config: ModelConfig) -> EngineKind:
    """What `auto` stands for with this model on this machine; the other kinds stand for themselves.

    int8 weights on LiteRT are the fastest on a CPU, and cost no accuracy that was seen; a GPU computes with XLA.
    """
    if kind is not EngineKind.auto:
        return kind
    serves = find_spec("ai_edge_litert") is not None and refusal(config) is None
    return EngineKind.litert_int8 if serves and _on_cpu() else EngineKind.xla


def _on_cpu() -> bool:
    """Whether TensorFlow computes, and has no GPU."""
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not tf.config.list_physical_devices("GPU")


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
        kind: What computes the step; see `chosen`.
        model: The transducer, in float32.
        chunk_ms: Audio per chunk.
        rows: B, streams at most.
        mode: Of XLA's: see `Engine`.
        search: How blocks are decoded; None: greedily.
        threads: Of LiteRT's programs; None: as many as there are processors.

    Raises:
        AsrError: as `Engine` and `LiteEngine`.
    """
    kind = chosen(kind, model.config)
    if kind is EngineKind.xla:
        return Engine(model, chunk_ms, rows, mode, search)
    precision = Precision.int8 if kind is EngineKind.litert_int8 else Precision.float32
    return LiteEngine(model, chunk_ms, rows, precision, search, threads)
