"""A network over words as it is shipped: `next_words.npz` beside `words.npz`, its matrices in 8 bits."""

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.decoding.next_words import NextWords
from asr.errors import CheckpointError
from asr.language.files import packed
from asr.language.ngrams import RESERVED

FORMAT = 1  # version of the file's layout
NAME = "next_words.npz"  # in a model folder
_MATRICES = {"embedding": 1, "kernel": 0, "recurrent": 0, "hidden": 0}  # the axis that shares a scale
_BIASES = ("input_bias", "bias", "hidden_bias", "output_bias")


def save_next_words(
    path: Path,
    words: Sequence[str],
    weights: Mapping[str, NDArray[Any]],
    about: Mapping[str, Any] | None = None,
) -> None:
    """Writes a network; the file appears whole or not at all.

    Args:
        path: The file.
        words: K texts, the unknown word first.
        weights: Of `NextWordModel`, by name, what stands before a / left out.
        about: What else to keep: steps, perplexity.
    """
    from asr.training.checkpoint import save_arrays

    named = {name.rsplit("/", 1)[-1]: np.asarray(value, np.float32) for name, value in weights.items()}
    arrays: dict[str, NDArray[Any]] = {"words": packed("\n".join(words).encode())}
    for name, axis in _MATRICES.items():
        steps, scale = in_steps(named[name], axis)
        arrays[name], arrays[f"{name}_scale"] = packed(steps.tobytes()), scale
    arrays |= {name: named[name].astype(np.float16) for name in _BIASES}
    sizes = {"words": len(words), "width": named["kernel"].shape[0], "dim": named["recurrent"].shape[0]}
    save_arrays(path, arrays, {"format": FORMAT, "sizes": sizes, "about": dict(about or {})})


def load_next_words(path: Path, texts: Sequence[str], share: float) -> NextWords:
    """Reads a network for the search.

    Args:
        path: The file.
        texts: V words of the trigrams beside it.
        share: Of the network in a word's probability.

    Raises:
        CheckpointError: if the file is missing, damaged or of another format, or knows none of the words.
    """
    words, values = _read(path)
    numbers = {word: i for i, word in enumerate(words)}
    number = np.array([numbers.get(text, 0) for text in texts], np.int32)
    if not number.any():
        raise CheckpointError(f"{path}: expected a network that knows words of the trigrams beside it, got another's")
    return NextWords(np.float32(share), number, **values)


def read_next_words(path: Path) -> tuple[list[str], dict[str, NDArray[np.float32]]]:
    """Reads a network's words and, by name, its weights as `NextWordModel` has them, to train it on.

    Raises:
        CheckpointError: if the file is missing, damaged or of another format.
    """
    words, values = _read(path)
    weights = {name: values[name] for name in _BIASES}
    for name, axis in _MATRICES.items():
        weights[name] = values[name] * np.expand_dims(values[f"{name}_scale"], axis)
    return words, weights


def _read(path: Path) -> tuple[list[str], dict[str, NDArray[Any]]]:
    """The words and the arrays of `NextWords`, matrices in their steps."""
    from asr.training.checkpoint import load_arrays

    arrays, meta = load_arrays(path)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise CheckpointError(f"{path}: expected a network over words of format {FORMAT}")
    try:
        sizes = meta["sizes"]
        k, e, d = (int(sizes[name]) for name in ("words", "width", "dim"))
        words = zlib.decompress(arrays["words"].tobytes()).decode().split("\n")
        shapes = {"embedding": (k + 1, e), "kernel": (e, 3 * d), "recurrent": (d, 3 * d), "hidden": (d, e)}
        values: dict[str, NDArray[Any]] = {
            name: np.frombuffer(zlib.decompress(arrays[name].tobytes()), np.int8).reshape(shape)
            for name, shape in shapes.items()
        }
        lengths = {f"{name}_scale": shape[1 - _MATRICES[name]] for name, shape in shapes.items()}
        lengths |= {"input_bias": 3 * d, "bias": 3 * d, "hidden_bias": e, "output_bias": k}
        values |= {name: arrays[name].astype(np.float32).reshape(length) for name, length in lengths.items()}
        if len(words) != k or words[0] != RESERVED[0]:
            raise ValueError(f"{len(words)} words")
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise CheckpointError(f"{path}: expected a network over words, got a damaged file: {error}") from error
    return words, values


def in_steps(matrix: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix in whole numbers of 8 bits and the scales of its rows (axis 1) or columns (axis 0)."""
    scale = np.maximum(np.abs(matrix).max(axis, keepdims=True), 1e-6) / 127
    return np.round(matrix / scale).astype(np.int8), scale.ravel().astype(np.float32)
