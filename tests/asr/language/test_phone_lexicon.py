"""The lexicon of pronunciations as a tree and as a file."""

from pathlib import Path

import numpy as np
import pytest

from asr.errors import CheckpointError
from asr.language.ngrams import RESERVED
from asr.language.phone_lexicon import (
    PhoneLexicon,
    build_tree,
    load_phone_lexicon,
    save_phone_lexicon,
    with_words,
)
from asr.training.checkpoint import load_arrays, save_arrays

WORDS = (*RESERVED, "cat", "cats", "kat", "at", "a", "unsaid")
PROBS = np.log(np.array([0.01, 1e-30, 0.2, 0.1, 0.05, 0.3, 0.3, 0.04]))
SYMBOLS = ("a", "k", "s", "t")
SAID = {"cat": [[1, 0, 3]], "cats": [[1, 0, 3, 2]], "kat": [[1, 0, 3]], "at": [[0, 3], [3, 0]], "a": [[0]]}


def paths(tree) -> dict[tuple[int, ...], list[int]]:
    """Words by their phonemes, walking the tree from every root."""
    found: dict[tuple[int, ...], list[int]] = {}

    def walk(node: int, said: tuple[int, ...]) -> None:
        words = tree.words[tree.word_starts[node] : tree.word_starts[node + 1]].tolist()
        if words:
            found[said] = words
        for child in tree.children[tree.child_starts[node] : tree.child_starts[node + 1]]:
            walk(child, (*said, int(tree.phone[child])))

    for root in (0, *([tree.second] if tree.second >= 0 else [])):
        walk(root, ())
    return found


def test_the_tree_has_every_pronunciation_once() -> None:
    """Homophones share a node; words that are not said are not in it."""
    tree = build_tree(WORDS, PROBS, SAID)
    assert paths(tree) == {(1, 0, 3): [2, 4], (1, 0, 3, 2): [3], (0, 3): [5], (3, 0): [5], (0,): [6]}
    assert len(tree.phone) == 1 + 4 + 2 + 2  # k-a-t-s, a-t, t-a


def test_look_ahead_is_the_mass_below() -> None:
    """Of each node all words that can still be meant."""
    tree = build_tree(WORDS, PROBS, SAID)
    first = {int(tree.phone[c]): c for c in tree.children[tree.child_starts[0] : tree.child_starts[1]]}
    assert np.exp(tree.ahead[first[1]]) == pytest.approx(0.35)
    assert np.exp(tree.ahead[first[0]]) == pytest.approx(0.6)
    assert np.exp(tree.ahead[first[3]]) == pytest.approx(0.3)
    assert tree.ahead[0] == 0.0


def test_more_words_hang_below_a_root_of_their_own() -> None:
    """The model's own tree stays as it is."""
    tree = build_tree(WORDS, PROBS, SAID)
    more = with_words(tree, [([2, 0], 8), ([2, 0, 3], 9)], np.full(10, -8.0))
    assert more.second == len(tree.phone)
    assert paths(more) == paths(tree) | {(2, 0): [8], (2, 0, 3): [9]}
    np.testing.assert_array_equal(more.ahead[: len(tree.phone)], tree.ahead)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """All of the tree, with the look-ahead of the words' probabilities now."""
    tree = build_tree(WORDS, PROBS, SAID)
    save_phone_lexicon(tmp_path / "lexicon.npz", PhoneLexicon(SYMBOLS, tree, "en-us"), WORDS)
    found = load_phone_lexicon(tmp_path / "lexicon.npz", WORDS, PROBS)
    assert (found.symbols, found.voice) == (SYMBOLS, "en-us")
    for one, other in zip(found.tree, tree, strict=True):
        np.testing.assert_array_equal(one, other)


def test_bad_files_are_refused(tmp_path: Path) -> None:
    """A missing file, one that is cut, one of more words than there are, and something else."""
    path = tmp_path / "lexicon.npz"
    with pytest.raises(CheckpointError, match=r"lexicon\.npz"):
        load_phone_lexicon(path, WORDS, PROBS)
    tree = build_tree(WORDS, PROBS, SAID)
    save_phone_lexicon(path, PhoneLexicon(SYMBOLS, tree, "en-us"), WORDS)
    with pytest.raises(CheckpointError, match="those of others"):
        load_phone_lexicon(path, WORDS[::-1], PROBS)
    with pytest.raises(CheckpointError, match="numbers beyond"):
        load_phone_lexicon(path, WORDS, PROBS[:4])
    save_phone_lexicon(path, PhoneLexicon(SYMBOLS[:2], tree), WORDS)
    with pytest.raises(CheckpointError, match="numbers beyond"):
        load_phone_lexicon(path, WORDS, PROBS)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError):
        load_phone_lexicon(path, WORDS, PROBS)
    path.write_bytes(whole)
    _, meta = load_arrays(path)
    save_arrays(path, {"phone": np.zeros(3, np.uint8)}, meta)
    with pytest.raises(CheckpointError, match="damaged"):
        load_phone_lexicon(path, WORDS, PROBS)
    save_arrays(path, {"phone": np.zeros(3, np.uint8)}, {"format": 99})
    with pytest.raises(CheckpointError, match="format"):
        load_phone_lexicon(path, WORDS, PROBS)
