"""Word trigrams and their lexicon as they are shipped: `words.npz` beside the transducer, bound to its tokenizer.

Probabilities are kept in 256 steps, numbers of words as differences, each array packed by deflate: LZMA saves
a twelfth of the file, and unpacks in five times the time, of which every start has to wait.
"""

import dataclasses
import lzma
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asr.config import from_dict
from asr.errors import CheckpointError, ConfigError
from asr.language.config import FusionWeights, WordPrices
from asr.language.files import packed, tokenizer_hash
from asr.language.lexicon import Lexicon
from asr.language.ngrams import NgramModel
from asr.tokenizer import Tokenizer

if TYPE_CHECKING:
    from asr.language.words import WordLanguageModel

FORMAT = 2  # version of the file's layout
_UNPACK: dict[Any, Callable[[bytes], bytes]] = {1: lzma.decompress, 2: zlib.decompress}  # by format
NAME = "words.npz"  # in a model folder
FUSION = FusionWeights(lm_weight=0.55, ilm_weight=0.2, label_bonus=1.4)  # the best for the bundled model on dev
FLOOR = -1e3  # nats, of probabilities of zero
_ROWS = ("bigram_words", "bigram_starts"), ("trigram_words", "trigram_starts")
_STEPS = ("log_probs", "backoffs", "bigram_log_probs", "bigram_backoffs", "trigram_log_probs")
_LEXICON = {"base": np.int32, "owner": np.int32, "ahead": np.float16, "word": np.int32}


def save_words(
    path: Path,
    ngrams: NgramModel,
    lexicon: Lexicon,
    tokenizer: Tokenizer,
    fusion: FusionWeights = FUSION,
    prices: WordPrices | None = None,
) -> None:
    """Writes the model; the file appears whole or not at all.

    Args:
        path: The file.
        ngrams: Trigrams.
        lexicon: The words' spelling by the tokenizer.
        tokenizer: Wordpieces.
        fusion: How the beam search weighs it unless told otherwise.
        prices: Of unknown words, and the bonus of each word; None: the defaults.
    """
    from asr.training.checkpoint import save_arrays

    arrays: dict[str, NDArray[Any]] = {"words": packed("\n".join(ngrams.words).encode())}
    for words, starts in _ROWS:
        lengths = np.diff(getattr(ngrams, starts))
        arrays[words] = _packed(_differences(getattr(ngrams, words), lengths).astype(np.uint32))
        arrays[starts] = _packed(lengths.astype(np.uint32))
    ranges = {}
    for name in _STEPS:
        values = np.maximum(getattr(ngrams, name), FLOOR)
        steps, ranges[name] = _in_steps(values)
        arrays[name] = _packed(steps)
    for name, kind in _LEXICON.items():
        arrays[f"lexicon/{name}"] = _packed(getattr(lexicon, name).astype(kind))
    meta = {
        "format": FORMAT,
        "ranges": ranges,
        "fusion": dataclasses.asdict(fusion),
        "prices": dataclasses.asdict(prices or WordPrices()),
        "tokenizer": tokenizer_hash(tokenizer),
    }
    save_arrays(path, arrays, meta)


def load_words(path: Path, tokenizer: Tokenizer) -> tuple["WordLanguageModel", FusionWeights]:
    """Reads the model and the weights that it is decoded with.

    Raises:
        CheckpointError: if the file is missing, damaged, of another format, or made for another tokenizer.
    """
    from asr.language.words import WordLanguageModel

    ngrams, lexicon, meta = read_words(path, tokenizer)
    fusion, prices = weights_in(path, meta)
    return WordLanguageModel(ngrams, lexicon, tokenizer, prices), fusion


def weights_in(path: Path, meta: Mapping[str, Any]) -> tuple[FusionWeights, WordPrices]:
    """How a file says that the beam search weighs it, of what `read_words` says besides; raises CheckpointError."""
    try:
        return from_dict(FusionWeights, meta.get("fusion", {})), from_dict(WordPrices, meta.get("prices", {}))
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error


def read_words(path: Path, tokenizer: Tokenizer) -> tuple[NgramModel, Lexicon, Mapping[str, Any]]:
    """The parts of the model, and what else the file says; raises as `load_words`."""
    from asr.training.checkpoint import load_arrays

    arrays, meta = load_arrays(path)
    unpack = _UNPACK.get(meta.get("format")) if isinstance(meta, dict) else None
    if unpack is None or "ranges" not in meta:
        raise CheckpointError(f"{path}: expected word trigrams of format {FORMAT} or before")
    if meta.get("tokenizer") != tokenizer_hash(tokenizer):
        raise CheckpointError(f"{path}: expected word trigrams for this model's tokenizer, got some for another")
    try:
        values: dict[str, Any] = {"words": tuple(unpack(arrays["words"].tobytes()).decode().split("\n"))}
        for words, starts in _ROWS:
            lengths = _unpacked(unpack, arrays[starts], np.uint32).astype(np.int64)
            values[starts] = np.concatenate([[0], np.cumsum(lengths)])
            values[words] = _sums(_unpacked(unpack, arrays[words], np.uint32).astype(np.int64), lengths)
        for name in _STEPS:
            low, high = meta["ranges"][name]
            values[name] = low + (high - low) / 255 * _unpacked(unpack, arrays[name], np.uint8).astype(np.float64)
        parts = {name: _unpacked(unpack, arrays[f"lexicon/{name}"], kind) for name, kind in _LEXICON.items()}
    except (KeyError, ValueError, lzma.LZMAError, zlib.error) as error:
        raise CheckpointError(f"{path}: expected word trigrams, got a damaged file: {error}") from error
    parts["ahead"] = parts["ahead"].astype(np.float32)
    return NgramModel(**values), Lexicon(**parts), meta


def _packed(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Bytes of the same rank side by side, which pack better, packed."""
    return packed(np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.itemsize).T.tobytes())


def _unpacked(unpack: Callable[[bytes], bytes], packed: NDArray[np.uint8], kind: Any) -> NDArray[Any]:
    content = np.frombuffer(unpack(packed.tobytes()), np.uint8)
    return np.ascontiguousarray(content.reshape(np.dtype(kind).itemsize, -1).T).view(kind)[:, 0]


def _differences(words: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of each number and the one before it in its row; a row's first stays."""
    before = np.concatenate([[0], words[:-1]])
    before[_firsts(lengths)] = 0
    return words - before


def _sums(differences: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """What `_differences` was made of."""
    sums = np.cumsum(differences)
    firsts = _firsts(lengths)
    before = sums[firsts] - differences[firsts]
    return sums - np.repeat(before, lengths[lengths > 0])


def _firsts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where rows that are not empty begin."""
    return (np.cumsum(lengths) - lengths)[lengths > 0]


def _in_steps(values: NDArray[np.float64]) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Values in 256 equal steps, and the lowest and highest; what is at `FLOOR` or below is the lowest."""
    usable = values[values > FLOOR]
    low, high = (float(usable.min()), float(usable.max())) if len(usable) else (0.0, 0.0)
    scale = 255 / (high - low) if high > low else 0.0
    return np.round((np.maximum(values, low) - low) * scale).astype(np.uint8), (low, high)
