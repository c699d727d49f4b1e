"""Where the model looked: blocks of the engine's rows, in stream time; of a beam, those of the best hypothesis."""

import numpy as np

from asr.streaming.looks import BlockLook, Looks

TEXTS = ["▁a", "b", "▁c"]
BLOCK, BLOCK_MS = 4, 320


def row(labels: list) -> dict[str, np.ndarray]:
    """Of labels [N, M], or [N, K, M] of K hypotheses."""
    found, rng = np.array(labels), np.random.default_rng(0)
    weights = rng.random((*found.shape, 2, 6)).astype(np.float32)
    return {"labels": found, "weights": weights, "done": rng.random(found.shape[:-1])}


def searched(*blocks: tuple[list[int], list[list[int]]]) -> dict[str, np.ndarray]:
    """Blocks of a beam: parents and labels of each hypothesis."""
    return row([labels for _, labels in blocks]) | {"parents": np.array([parents for parents, _ in blocks])}


def said(looks: list[BlockLook]) -> list[tuple[int, tuple[str, ...]]]:
    return [(look.start_ms // BLOCK_MS, look.labels) for look in looks]


def test_each_block_has_its_time_its_wordpieces_and_their_weights() -> None:
    out = row([[2, 0, -1], [-1, -1, -1], [1, -1, -1]])
    looks = Looks(TEXTS, BLOCK)
    looks.accept(out, 1000, used=12)
    found = looks.take()
    assert [(look.start_ms, look.end_ms) for look in found] == [(1000, 1320), (1320, 1640), (1640, 1960)]
    assert [look.labels for look in found] == [("▁c", "▁a"), (), ("b",)]
    for n, look in enumerate(found):
        np.testing.assert_array_equal(look.weights, out["weights"][n, : len(look.labels)])
        assert look.end_probability == out["done"][n]
    assert looks.take() == []


def test_blocks_past_the_end_do_not_count() -> None:
    looks = Looks(TEXTS, BLOCK)
    looks.accept(row([[2], [0], [1]]), 0, used=8)
    assert len(looks.take()) == 2
    looks.accept(searched(([0, 0], [[1], [0]]), ([-1, -1], [[0], [0]])), 640, used=4)
    assert said(looks.take()) == [(2, ("b",))]


def test_of_a_beam_the_best_hypothesis_is_told() -> None:
    out = searched(([0, 0], [[2], [0]]))
    looks = Looks(TEXTS, BLOCK)
    looks.accept(out, 0, used=BLOCK)
    (look,) = looks.take()
    assert look.labels == ("▁c",) and look.end_probability == out["done"][0, 0]
    np.testing.assert_array_equal(look.weights, out["weights"][0, 0])


def test_blocks_that_a_new_best_hypothesis_read_otherwise_are_told_again() -> None:
    looks = Looks(TEXTS, BLOCK)
    first = searched(([0, 0], [[2], [0]]))
    looks.accept(first, 0, used=BLOCK)
    assert said(looks.take()) == [(0, ("▁c",))]
    looks.accept(searched(([0, 1], [[-1], [1]])), 320, used=BLOCK)
    assert said(looks.take()) == [(1, ())]
    looks.accept(searched(([1, 0], [[1], [0]])), 640, used=BLOCK)
    again = looks.take()
    assert said(again) == [(0, ("▁a",)), (1, ("b",)), (2, ("b",))]
    np.testing.assert_array_equal(again[0].weights, first["weights"][0, 1])
    # Both hypotheses go on from the best one: what lies before cannot change any more.
    looks.accept(searched(([0, 0], [[1], [0]])), 960, used=BLOCK)
    assert said(looks.take()) == [(3, ("b",))]
    looks.accept(searched(([1, 1], [[0], [1]])), 1280, used=BLOCK)
    assert said(looks.take()) == [(3, ("▁a",)), (4, ("▁a",))]


def test_what_was_not_taken_yet_is_told_once() -> None:
    """In a chunk of several blocks, and for those who take everything at the end."""
    looks = Looks(TEXTS, BLOCK)
    looks.accept(searched(([0, 0], [[2], [0]]), ([1, 0], [[1], [0]])), 0, used=2 * BLOCK)
    looks.accept(searched(([1, 0], [[1], [0]])), 640, used=BLOCK)
    assert said(looks.take()) == [(0, ("▁c",)), (1, ("▁a",)), (2, ("b",))]


def test_a_restart_settles_what_was_read() -> None:
    looks = Looks(TEXTS, BLOCK)
    looks.accept(searched(([0, 0], [[2], [0]])), 0, used=BLOCK)
    looks.restart()
    looks.accept(searched(([0, 0], [[1], [0]])), 320, used=BLOCK)
    assert said(looks.take()) == [(0, ("▁c",)), (1, ("b",))]


def test_only_what_may_change_is_kept() -> None:
    looks = Looks(TEXTS, BLOCK)
    for n in range(50):
        looks.accept(searched(([0, 0], [[2], [0]])) if n % 2 else row([[1]]), 320 * n, used=BLOCK)
        looks.take()
        assert all(len(path) <= 1 for path in looks._paths)
