"""What can compute the step, by name, and how wide it may search; loads without TensorFlow."""

from enum import StrEnum

from asr.errors import AsrError

MAX_BEAM = 32  # hypotheses
PHONETIC = 0  # a beam of none: the search through pronunciations by the phoneme head (`asr.decoding.token_passing`)


class EngineKind(StrEnum):
    """What computes the step; words differ between the first two by rounding alone, with int8 weights a little more."""

    xla = "xla"
    """One program that XLA compiles; on JAX and on GPUs, too."""
    litert = "litert"
    """The encoder on LiteRT's CPU kernels."""
    litert_int8 = "litert-int8"
    """The same with weights in eight bits."""
    auto = "auto"
    """`litert-int8` where it serves the model, else `xla`: `asr.streaming.engines.chosen`."""


def engine_kind(name: str) -> EngineKind:
    """Raises AsrError for an unknown name."""
    try:
        return EngineKind(name)
    except ValueError:
        raise AsrError(f"engine: expected one of {', '.join(EngineKind)}, got {name!r}") from None
