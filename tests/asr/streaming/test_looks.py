"""Where the model looked: blocks of the engine's rows, in stream time."""

import numpy as np

from asr.streaming.looks import looks_of

TEXTS = ["▁a", "b", "▁c"]


def row(labels: list[list[int]]) -> dict[str, np.ndarray]:
    blocks, most = len(labels), len(labels[0])
    weights = np.random.default_rng(0).random((blocks, most, 2, 6)).astype(np.float32)
    return {"labels": np.array(labels), "weights": weights, "done": np.linspace(0.1, 0.9, blocks)}


def test_each_block_has_its_time_its_wordpieces_and_their_weights() -> None:
    out = row([[2, 0, -1], [-1, -1, -1], [1, -1, -1]])
    looks = looks_of(out, 1000, block=4, used=12, texts=TEXTS)
    assert [(look.start_ms, look.end_ms) for look in looks] == [(1000, 1320), (1320, 1640), (1640, 1960)]
    assert [look.labels for look in looks] == [("▁c", "▁a"), (), ("b",)]
    for n, look in enumerate(looks):
        np.testing.assert_array_equal(look.weights, out["weights"][n, : len(look.labels)])
        assert look.end_probability == out["done"][n]


def test_blocks_past_the_end_do_not_count() -> None:
    assert len(looks_of(row([[2], [0], [1]]), 0, block=4, used=8, texts=TEXTS)) == 2


def test_a_beam_search_tells_nothing() -> None:
    out = row([[2]])
    del out["weights"]
    assert looks_of(out, 0, block=4, used=4, texts=TEXTS) == []
