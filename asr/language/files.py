"""A language model as it is shipped: `language.npz` beside the transducer, bound to its tokenizer."""

import dataclasses
import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asr.config import from_dict
from asr.errors import CheckpointError, ConfigError
from asr.language.config import FusionWeights, LanguageConfig
from asr.tokenizer import Tokenizer

if TYPE_CHECKING:
    from asr.language.model import RecurrentLanguageModel

FORMAT = 1  # version of the file's layout
NAME = "language.npz"  # in a model folder


def tokenizer_hash(tokenizer: Tokenizer) -> str:
    """What a language model is bound to: the SHA-256 of the sentencepiece model."""
    return hashlib.sha256(tokenizer.model).hexdigest()


def packed(content: bytes) -> NDArray[np.uint8]:
    """Bytes by deflate, as an array of a file: see `asr.language.word_files` for why not LZMA."""
    return np.frombuffer(zlib.compress(content, 9), np.uint8)


def save_language(
    path: Path,
    config: LanguageConfig,
    tokenizer: Tokenizer,
    weights: Mapping[str, NDArray[Any]],
    fusion: FusionWeights | None = None,
    about: Mapping[str, Any] | None = None,
) -> None:
    """Writes a language model, its weights as float16; the file appears whole or not at all.

    Args:
        path: The file.
        config: Sizes.
        tokenizer: Wordpieces that it was trained on.
        weights: Variables by path.
        fusion: How the beam search weighs it unless told otherwise; None: the defaults.
        about: What else to keep: steps, perplexity.
    """
    from asr.training.checkpoint import save_arrays

    meta = {
        "format": FORMAT,
        "language": dataclasses.asdict(config),
        "fusion": dataclasses.asdict(fusion or FusionWeights()),
        "tokenizer": tokenizer_hash(tokenizer),
        "about": dict(about or {}),
    }
    save_arrays(path, {name: value.astype(np.float16) for name, value in weights.items()}, meta)


def load_language(path: Path, tokenizer: Tokenizer) -> tuple["RecurrentLanguageModel", FusionWeights]:
    """Reads a language model and the weights that it is decoded with.

    Raises:
        CheckpointError: if the file is missing, damaged, of another format, or made for another tokenizer.
    """
    from asr.training.checkpoint import assign_weights, load_arrays

    weights, meta = load_arrays(path)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT or "language" not in meta:
        raise CheckpointError(f"{path}: expected a language model of format {FORMAT}")
    if meta.get("tokenizer") != tokenizer_hash(tokenizer):
        raise CheckpointError(f"{path}: expected a language model for this model's tokenizer, got one for another")
    try:
        config = from_dict(LanguageConfig, meta["language"])
        fusion = from_dict(FusionWeights, meta.get("fusion", {}))
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    from asr.language.model import RecurrentLanguageModel

    model = RecurrentLanguageModel(config, dtype="float32")
    assign_weights(model.variables, weights, str(path))
    return model, fusion
