"""CTC's opinion of hypotheses, kept frame by frame, against its sum over whole recordings."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from keras import ops

from asr.decoding import ctc

LOOKBACK, BLOCK, BLOCKS, VOCABULARY = 12, 4, 3, 5


def log_probs(seed: int, frames: int = BLOCK * BLOCKS) -> np.ndarray:
    """[frames, V + 1]."""
    logits = np.random.default_rng(seed).normal(0, 2, (frames, VOCABULARY + 1))
    return np.log(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)


def forward(said: np.ndarray, labels: Sequence[int]) -> float:
    """Log P(labels | frames) by the forward variables over blanks and labels (Graves et al. 2006)."""
    symbols = [VOCABULARY, *(symbol for label in labels for symbol in (label, VOCABULARY))]
    probabilities = np.exp(said.astype(np.float64))
    alpha = np.zeros(len(symbols))
    alpha[0] = 1.0
    for frame in probabilities:
        before, alpha = alpha, np.zeros(len(symbols))
        for i, symbol in enumerate(symbols):
            ways = before[max(i - 1, 0) : i + 1].sum()
            if i > 1 and symbol not in (VOCABULARY, symbols[i - 2]):
                ways += before[i - 2]
            alpha[i] = ways * frame[symbol]
    return float(np.log(alpha[-2:].sum()))


def followed(said: np.ndarray, emitted: Sequence[Sequence[int]]) -> tuple[Any, float]:
    """State of one hypothesis that emits these labels block by block, and what was taken from its total on the way."""
    state, taken = ctc.initial_state(1, 1, LOOKBACK), 0.0
    window = ctc.before_the_first(1, LOOKBACK, VOCABULARY)
    for block, labels in enumerate(emitted):
        new = ops.convert_to_tensor(said[None, block * BLOCK : (block + 1) * BLOCK])
        window = ops.concatenate([window, new], axis=1)[:, -LOOKBACK - BLOCK :]
        state = ctc.heard(state, window, BLOCK)
        for label in labels:
            state = ctc.extended(state, ops.convert_to_tensor(np.array([[label]], np.int32)), window)
        taken += float(state["total"][0, 0])
        state = ctc.kept(state, BLOCK)
        window = window[:, BLOCK:]
    return state, taken


@pytest.mark.parametrize(
    "emitted",
    [
        [[], [], []],
        [[], [], [1, 2, 2, 3]],  # late: CTC may have heard them long before
        [[1, 2, 3], [], []],  # early: CTC may hear them later
        [[4], [4], [4]],  # the same label needs a blank between
        [[0, 1], [1, 0], [2]],
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_the_total_is_what_ctc_gives_all_labels(emitted: list[list[int]], seed: int) -> None:
    said = log_probs(seed)
    _, total = followed(said, emitted)
    assert total == pytest.approx(forward(said, [label for labels in emitted for label in labels]), abs=1e-3)


def test_it_does_not_matter_in_which_block_a_label_was_emitted() -> None:
    said = log_probs(7)
    totals = [followed(said, emitted)[1] for emitted in ([[1], [2], [3]], [[1, 2, 3], [], []], [[], [1], [2, 3]])]
    assert max(totals) - min(totals) < 1e-3


def test_totals_never_grow_with_the_stream() -> None:
    """Relative to the best hypothesis after each block, and finite however unlikely CTC finds what was said."""
    said = np.full((BLOCK, VOCABULARY + 1), ctc.LEAST, np.float32)
    said[:, 0] = 0.0
    state, _ = followed(np.tile(said, (40, 1)), [[1, 2, 3, 4]] * 40)
    assert float(state["total"][0, 0]) == 0.0
    assert all(np.isfinite(np.asarray(x)).all() for x in state.values())
    assert np.abs(np.asarray(state["tails"])[..., -1, :]).max() < 1e4


def test_several_hypotheses_and_streams_keep_apart() -> None:
    """Each row and each hypothesis is what it is alone."""
    said = np.stack([log_probs(1, BLOCK), log_probs(2, BLOCK)])
    labels = np.array([[1, 2, 2], [3, 0, 4]], np.int32)
    window = ops.concatenate([ctc.before_the_first(2, LOOKBACK, VOCABULARY), ops.convert_to_tensor(said)], axis=1)
    state = ctc.heard(ctc.initial_state(2, 3, LOOKBACK), window, BLOCK)
    for column in (labels, labels[:, ::-1].copy()):
        state = ctc.extended(state, ops.convert_to_tensor(column), window)
    for row, beam in np.ndindex(2, 3):
        both = [int(labels[row, beam]), int(labels[row, 2 - beam])]
        assert float(state["total"][row, beam]) == pytest.approx(forward(said[row], both), abs=1e-3)


def test_a_label_that_the_recording_holds_is_worth_more_than_none() -> None:
    """The sign of it: frames that say 1, blank, 2 favour exactly these labels."""
    said = np.full((BLOCK, VOCABULARY + 1), -6.0, np.float32)
    said[[0, 1, 2, 3], [1, VOCABULARY, 2, VOCABULARY]] = -0.01
    totals = [followed(said, [labels])[1] for labels in ([], [1], [1, 2], [1, 2, 3])]
    assert totals[2] == max(totals)
    assert all(a < b for a, b in pairwise(totals[:3]))
