"""Pronunciations of the language model's words as a prefix tree of phonemes: `lexicon.npz` in a model folder.

Nodes are numbered level by level, so that the children of each, and of all before it, lie in one row.

Letters: P phonemes, N nodes.
"""

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.decoding.phonetic_types import ROOT, Tree
from asr.errors import AsrError, CheckpointError
from asr.language.files import packed
from asr.language.ngrams import RESERVED

FORMAT = 1  # version of the file's layout
NAME = "lexicon.npz"  # in a model folder
MOST_PHONEMES = 255
FLOOR = -100.0  # nats, of probabilities of zero
_ARRAYS: dict[str, Any] = {"phone": np.uint8, "children": np.uint8, "ends": np.uint8, "words": np.uint32}


@dataclass(frozen=True)
class PhoneLexicon:
    """How words are pronounced.

    Attributes:
        symbols: P phonemes, as the phoneme head numbers them.
        tree: Of all words.
        voice: Of espeak-ng, which pronounces words that phrases add; "": none does.
    """

    symbols: tuple[str, ...]
    tree: Tree
    voice: str = ""


def build_tree(
    words: Sequence[str], log_probs: NDArray[np.float64], said: Mapping[str, Sequence[Sequence[int]]]
) -> Tree:
    """The tree of all words but `RESERVED` that have a pronunciation.

    Args:
        words: Texts by number; `RESERVED` first.
        log_probs: Of each without context.
        said: Phonemes of each word, for every way to say it.
    """
    first = len(RESERVED)
    entries = [(one, number) for number, word in enumerate(words[first:], first) for one in said.get(word, ())]
    return _completed(_grown(entries), log_probs)


def words_said(lexicon: PhoneLexicon, texts: Sequence[str]) -> dict[str, list[list[str]]]:
    """Pronunciations of each word that the lexicon has, as it was made of them.

    Args:
        lexicon: Without words of phrases.
        texts: Words by number, of the language model.
    """
    tree, symbols = lexicon.tree, lexicon.symbols
    found: dict[str, list[list[str]]] = {}
    said: list[list[str]] = [[] for _ in tree.phone]
    for node in range(len(tree.phone)):  # level by level: what is said above is known
        for word in tree.words[tree.word_starts[node] : tree.word_starts[node + 1]]:
            found.setdefault(texts[word], []).append(said[node])
        for child in tree.children[tree.child_starts[node] : tree.child_starts[node + 1]]:
            said[child] = [*said[node], symbols[tree.phone[child]]]
    return found


def with_words(tree: Tree, entries: Iterable[tuple[Sequence[int], int]], log_probs: NDArray[np.float64]) -> Tree:
    """The tree with more words, below a second root.

    Args:
        tree: Of the model.
        entries: Phonemes and number of each.
        log_probs: Without context, by number.
    """
    first = len(tree.phone)
    more = _completed(_grown(entries), log_probs)
    return Tree(
        np.concatenate([tree.phone, more.phone]),
        np.concatenate([tree.child_starts, more.child_starts[1:] + tree.child_starts[-1]]),
        np.concatenate([tree.children, more.children + np.int32(first)]),
        np.concatenate([tree.word_starts, more.word_starts[1:] + tree.word_starts[-1]]),
        np.concatenate([tree.words, more.words]),
        np.concatenate([tree.ahead, more.ahead]),
        first,
    )


def _grown(entries: Iterable[tuple[Sequence[int], int]]) -> list[NDArray[Any]]:
    """Phoneme, number of children and of words of each node, and the words, level by level."""
    root: dict[int, Any] = {}
    for phones, number in entries:
        node = root
        for symbol in phones:
            node = node.setdefault(symbol, {})
        node.setdefault(-1, []).append(number)
    phone, children, ends, words = [0], list[int](), list[int](), list[int]()
    queue = [root]
    for node in queue:  # grows meanwhile
        ending = list(dict.fromkeys(node.get(-1, [])))
        below = [symbol for symbol in node if symbol >= 0]
        phone += below
        queue += [node[symbol] for symbol in below]
        children.append(len(below))
        ends.append(len(ending))
        words += ending
    return [np.array(x, np.int32) for x in (phone, children, ends, words)]


def _completed(grown: Sequence[NDArray[Any]], log_probs: NDArray[Any]) -> Tree:
    """The tree as the search reads it, from what `_grown` gives."""
    phone, children, ends, words = grown
    child_starts, word_starts = _starts(children), _starts(ends)
    mass: NDArray[Any] = np.bincount(np.repeat(np.arange(len(ends)), ends), np.exp(log_probs[words]), len(ends))
    parents = np.repeat(np.arange(len(children)), children)  # of nodes 1, 2, …
    # From the last level to the first: a level's nodes are the children of the one above.
    levels = [0, 1]
    while levels[-1] < len(phone):
        levels.append(1 + int(child_starts[levels[-1]]))
    for start, end in zip(levels[-2:0:-1], levels[:1:-1], strict=True):
        mass += np.bincount(parents[start - 1 : end - 1], mass[start:end], len(mass))
    ahead = np.log(np.maximum(mass, np.exp(FLOOR))).astype(np.float32)
    ahead[ROOT] = 0.0
    named = phone.astype(np.int32)
    named[ROOT] = -1
    return Tree(
        named, child_starts, np.arange(1, len(phone), dtype=np.int32), word_starts, words.astype(np.int32), ahead, -1
    )


def _starts(lengths: NDArray[Any]) -> NDArray[np.int32]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def save_phone_lexicon(path: Path, lexicon: PhoneLexicon, words: Sequence[str]) -> None:
    """Writes it; the file appears whole or not at all.

    Args:
        path: The file.
        lexicon: What to write.
        words: Texts by number, of the language model.

    Raises:
        AsrError: for more phonemes than a byte can number.
    """
    from asr.training.checkpoint import save_arrays

    if len(lexicon.symbols) > MOST_PHONEMES:
        raise AsrError(f"expected at most {MOST_PHONEMES} phonemes, got {len(lexicon.symbols)}")
    tree = lexicon.tree
    values = {
        "phone": np.maximum(tree.phone, 0),
        "children": np.diff(tree.child_starts),
        "ends": np.diff(tree.word_starts),
        "words": tree.words,
    }
    arrays = {name: packed(values[name].astype(kind).tobytes()) for name, kind in _ARRAYS.items()}
    save_arrays(
        path, arrays, {"format": FORMAT, "symbols": list(lexicon.symbols), "voice": lexicon.voice, "of": _name(words)}
    )


def _name(words: Sequence[str]) -> str:
    """Tells one vocabulary from another."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def load_phone_lexicon(path: Path, texts: Sequence[str], log_probs: NDArray[np.float64]) -> PhoneLexicon:
    """Reads what `save_phone_lexicon` wrote.

    Args:
        path: The file.
        texts: Words by number, of the language model.
        log_probs: Of each word of the language model without context.

    Raises:
        CheckpointError: if the file is missing, damaged, of another format, or of other words.
    """
    from asr.training.checkpoint import load_arrays

    arrays, meta = load_arrays(path)
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise CheckpointError(f"{path}: expected pronunciations of format {FORMAT}")
    if meta.get("of") != _name(texts):
        raise CheckpointError(
            f"{path}: expected pronunciations of this folder's words, got those of others: asr lexicon"
        )
    try:
        phone, children, ends, words = (
            np.frombuffer(zlib.decompress(arrays[name].tobytes()), kind).astype(np.int64)
            for name, kind in _ARRAYS.items()
        )
        symbols = tuple(str(symbol) for symbol in meta["symbols"])
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise CheckpointError(f"{path}: expected pronunciations, got a damaged file: {error}") from error
    whole = len(phone) == len(children) == len(ends) == children.sum() + 1 and ends.sum() == len(words) > 0
    if not whole or phone.max() >= len(symbols) or words.max() >= len(log_probs):
        raise CheckpointError(f"{path}: expected pronunciations of this language model's words, got numbers beyond")
    return PhoneLexicon(symbols, _completed([phone, children, ends, words], log_probs), str(meta.get("voice", "")))
