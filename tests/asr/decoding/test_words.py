"""Wordpieces as words: grouping, times, confidence."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.decoding.words import Label, WordRule, words_of
from asr.tokenizer import WORD_START, Tokenizer, train_tokenizer

FRAME_MS = 80
SENTENCES = ["the cat sat on the mat", "a rat ate the hat then", "some tea is hot at noon"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(SENTENCES * 3, 40)


def labels_of(tokenizer: Tokenizer, *pieces: tuple[str, int], log_prob: float = -0.5) -> list[Label]:
    """Labels from texts, with ▁ as _, and start times."""
    return [Label(tokenizer.texts.index(t.replace("_", WORD_START)), ms, log_prob) for t, ms in pieces]


def test_pieces_become_words_where_they_say_so(tokenizer: Tokenizer) -> None:
    labels = labels_of(tokenizer, ("_the", 80), ("_", 400), ("c", 480), ("at", 560), ("_s", 720), ("at", 720))
    words = words_of(labels, tokenizer, FRAME_MS)
    assert [(w.word, w.start_ms, w.end_ms) for w in words] == [
        ("the", 80, 160),
        ("cat", 400, 640),
        ("sat", 720, 800),
    ]


def test_no_labels_no_words(tokenizer: Tokenizer) -> None:
    assert words_of([], tokenizer, FRAME_MS) == []


def test_first_piece_needs_no_mark(tokenizer: Tokenizer) -> None:
    """As after a segment that ended within a word."""
    assert [w.word for w in words_of(labels_of(tokenizer, ("at", 0), ("_a", 80)), tokenizer, FRAME_MS)] == ["at", "a"]


def test_lone_word_marks_are_no_words(tokenizer: Tokenizer) -> None:
    labels = labels_of(tokenizer, ("_", 0), ("_the", 80), ("_", 160), ("_", 240), ("_a", 320), ("_", 400))
    words = words_of(labels, tokenizer, FRAME_MS)
    assert [(w.word, w.start_ms) for w in words] == [("the", 80), ("a", 320)]
    assert tokenizer.decode([label.piece for label in labels]) == "the a"  # a partial and its final agree
    assert words_of(labels[:1], tokenizer, FRAME_MS) == []


def test_confidence_is_the_geometric_mean(tokenizer: Tokenizer) -> None:
    pieces = [("_s", math.log(0.9)), ("at", math.log(0.4)), ("_a", math.log(0.25))]
    labels = [labels_of(tokenizer, (text, 0), log_prob=log_prob)[0] for text, log_prob in pieces]
    words = words_of(labels, tokenizer, FRAME_MS)
    assert [w.confidence for w in words] == pytest.approx([0.6, 0.25])


def test_a_word_ends_before_the_next_starts(tokenizer: Tokenizer) -> None:
    words = words_of(labels_of(tokenizer, ("_the", 0), ("_a", 40), ("_the", 40)), tokenizer, FRAME_MS)
    assert [(w.start_ms, w.end_ms) for w in words] == [(0, 40), (40, 40), (40, 120)]


def test_times_do_not_go_back(tokenizer: Tokenizer) -> None:
    """The frame a label attends to most may lie before that of the label before it."""
    words = words_of(labels_of(tokenizer, ("_the", 400), ("_a", 160), ("_s", 480)), tokenizer, FRAME_MS)
    assert [(w.start_ms, w.end_ms) for w in words] == [(400, 400), (400, 400), (480, 560)]


def test_times_stay_in_the_segment(tokenizer: Tokenizer) -> None:
    labels = labels_of(tokenizer, ("_the", 160), ("_a", 480), ("_s", 720))
    words = words_of(labels, tokenizer, FRAME_MS, earliest_ms=320, latest_ms=500)
    assert [(w.start_ms, w.end_ms) for w in words] == [(320, 320), (480, 500), (500, 500)]


@given(st.lists(st.tuples(st.integers(1, 39), st.integers(0, 60)), max_size=12), st.integers(0, 2000))
def test_every_word_is_inside_and_in_order(tokenizer: Tokenizer, found: list, length: int) -> None:
    labels = [Label(piece, frame * FRAME_MS, -0.1) for piece, frame in found]
    words = words_of(labels, tokenizer, FRAME_MS, length // 2, length)
    times = [ms for word in words for ms in (word.start_ms, word.end_ms)]
    assert times == sorted(times)
    assert all(length // 2 <= ms <= length for ms in times)
    assert " ".join(w.word for w in words) == tokenizer.decode([label.piece for label in labels])


def test_a_models_lags_are_taken_off(tokenizer: Tokenizer) -> None:
    labels = labels_of(tokenizer, ("_the", 80), ("_s", 400), ("at", 560))
    words = words_of(labels, tokenizer, FRAME_MS, rule=WordRule(140, 60, 1.0, -1.0))
    assert [(w.start_ms, w.end_ms) for w in words] == [(0, 100), (260, 580)]
    assert all(w.confidence < math.exp(-0.5) for w in words)
