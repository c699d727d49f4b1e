"""Scoring of development data: best paths, batches of similar length, and rows that are no recording."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.tokenizer import Tokenizer, train_tokenizer
from asr.training.dev import BATCH_FRAMES, DevDecoder, batches_by_length, ctc_labels, padded, word_error_rates
from asr.training.pronunciations import Pronunciations
from asr.transducer.model import Transducer
from data.cache import FeatureCache
from data.manifest import Utterance


def logits_of(path: list[int], symbols: int = 4) -> np.ndarray:
    return np.eye(symbols, dtype=np.float32)[path]


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ([3, 3, 3], []),
        ([0, 0, 3, 0, 1, 1], [0, 0, 1]),
        ([2, 3, 3, 2, 2, 1], [2, 2, 1]),
        ([1], [1]),
        ([], []),
    ],
)
def test_the_best_path_joins_repeats_and_drops_blanks(path: list[int], labels: list[int]) -> None:
    logits = logits_of(path) if path else np.zeros((0, 4), np.float32)
    assert ctc_labels(logits, len(path)) == labels


def test_what_comes_after_a_recording_is_not_heard() -> None:
    logits = logits_of([0, 1, 2, 2])
    assert [ctc_labels(logits, length) for length in range(5)] == [[], [0], [0, 1], [0, 1, 2], [0, 1, 2]]


@given(st.lists(st.integers(1, 3000), max_size=40), st.integers(256, 8192))
def test_batches_hold_each_recording_once_and_no_more_than_fits(counts: list[int], batch_frames: int) -> None:
    batches = batches_by_length(counts, batch_frames)
    assert sorted(i for rows in batches for i in rows) == list(range(len(counts)))
    for rows in batches:
        assert len(rows) == 1 or len(rows) * padded(max(counts[i] for i in rows)) <= batch_frames
    ordered = [counts[i] for rows in batches for i in rows]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize(("frames", "expected"), [(0, 0), (1, 256), (256, 256), (257, 512)])
def test_lengths_are_rounded_up(frames: int, expected: int) -> None:
    assert padded(frames) == expected


def test_phonemes_are_rated_by_their_pronunciations(make_model: Callable, mel: Callable, tokenizer: Tokenizer) -> None:
    """By the texts' first ones; a head that is not asked for is not decoded."""
    pronunciations = Pronunciations({"a": [["x", "y"], ["z"]], "b": [["y"]]})
    model = Transducer(dataclasses.replace(make_model().config, phonemes=3))
    found = DevDecoder(model, tokenizer, 8, pronunciations)(mel(1, 128), np.array([128], np.int32))
    assert set(found[0]) == {"characters", "pieces", "transducer", "phonemes"}
    assert set(found[0]["phonemes"].split()) <= {"x", "y", "z"}

    def decoder(frames: np.ndarray, lengths: np.ndarray) -> list[dict[str, str]]:
        return [{"pieces": "a b", "phonemes": "x x y"} for _ in lengths]

    utterance = Utterance("u", "u.wav", 1.0, "ann", "a b", "dev")
    features = FeatureCache(np.zeros((100, 80), np.float16), {"u": (0, 100)})
    rates = word_error_rates(decoder, [utterance], features, 0.0, pronunciations)
    assert rates == {"pieces": 0.0, "phonemes": pytest.approx(1 / 3)}


class Reader:
    """A decoder that reads the words off the frames: the value of the first bin is the word's number."""

    words = ("zero", "one", "two", "three")

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, frames: np.ndarray, lengths: np.ndarray) -> list[dict[str, str]]:
        self.shapes.append(frames.shape)
        texts = [" ".join(self.words[int(x)] for x in row[:n:100, 0]) for row, n in zip(frames, lengths, strict=True)]
        return [{"right": text, "silent": "", "twice": f"{text} {text}".strip()} for text in texts]


def test_rates_are_over_all_words_by_head() -> None:
    said = [[1], [1, 2, 3], [3, 2], [0, 0, 1, 2]]
    frames = [np.repeat(np.array(words, np.float16), 100)[:, None] * np.ones((1, 80), np.float16) for words in said]
    utterances, spans, start = [], {}, 0
    for i, (words, x) in enumerate(zip(said, frames, strict=True)):
        text = " ".join(Reader.words[w] for w in words)
        utterances.append(Utterance(f"u{i}", f"{i}.wav", len(x) / 100, "ann", text, "dev"))
        spans[f"u{i}"] = (start, len(x))
        start += len(x)
    reader = Reader()
    rates = word_error_rates(reader, utterances, FeatureCache(np.concatenate(frames), spans), -7.0)  # type: ignore[arg-type]
    assert rates == {"right": 0.0, "silent": 1.0, "twice": 1.0}
    assert all(size * length <= BATCH_FRAMES for size, length, _ in reader.shapes)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["a b ab ba c"] * 3, 11)


def test_rows_without_frames_say_nothing_and_change_nothing(
    make_model: Callable, mel: Callable, tokenizer: Tokenizer
) -> None:
    """Those that fill a batch up."""
    decoder = DevDecoder(make_model(0), tokenizer, 8)
    frames = mel(2, 128, 3)
    full = decoder(np.concatenate([frames, np.zeros((1, 128, 80), np.float32)]), np.array([128, 70, 0], np.int32))
    assert full[2] == {"characters": "", "pieces": "", "transducer": ""}
    assert full[0]["characters"] and full[0]["pieces"]
    changed = np.concatenate([frames, np.full((1, 128, 80), 5.0, np.float32)])
    assert decoder(changed, np.array([128, 70, 0], np.int32)) == full
