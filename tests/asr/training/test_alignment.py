"""Forced alignment: the likeliest of all paths, and the words' spans along it."""

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.errors import ConfigError
from asr.features import LOG_FLOOR, log_mel
from asr.model_folder import bundled_model, save_model
from asr.tokenizer import train_tokenizer
from asr.training import alignment
from asr.training.alignment import aligned, forced_path, kept_spans, word_spans
from asr.training.checkpoint import weights_of
from asr.transducer.model import Transducer
from data.audio import load_audio
from data.cache import FeatureCache
from data.manifest import Utterance, read_manifest

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "manifest.jsonl"


def collapsed(symbols: tuple[int, ...], blank: int) -> list[int]:
    return [s for s, _ in itertools.groupby(symbols) if s != blank]


def best_by_enumeration(log_probs: NDArray[np.float32], labels: list[int]) -> float:
    """Log-probability of the likeliest of all paths that say the labels."""
    frames, width = log_probs.shape
    paths = (p for p in itertools.product(range(width), repeat=frames) if collapsed(p, width - 1) == labels)
    return max(sum(log_probs[t, s] for t, s in enumerate(path)) for path in paths)


@pytest.mark.parametrize("labels", [[0], [0, 1], [1, 1], [0, 1, 0], []])
@pytest.mark.parametrize("seed", range(5))
def test_the_path_is_the_likeliest_of_all(labels: list[int], seed: int) -> None:
    logits = np.random.default_rng(seed).normal(size=(5, 3)).astype(np.float32) * 2
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    path = forced_path(log_probs, labels)
    assert path is not None
    symbols = tuple(labels[place // 2] if place % 2 else 2 for place in path)
    assert collapsed(symbols, 2) == labels
    score = sum(log_probs[t, s] for t, s in enumerate(symbols))
    assert score == pytest.approx(best_by_enumeration(log_probs, labels), abs=1e-5)


def test_labels_that_do_not_fit_have_no_path() -> None:
    log_probs = np.log(np.full((3, 3), 1 / 3, np.float32))
    assert forced_path(log_probs, [0, 1, 0, 1]) is None
    assert forced_path(log_probs, [0, 0]) is not None  # with a blank between
    assert forced_path(log_probs[:2], [0, 0]) is None
    assert forced_path(log_probs[:0], [0]) is None  # shorter than a frame


def test_words_meet_in_the_middle_between_their_characters() -> None:
    #      a      b      _           c         d
    path = np.array([0, 1, 1, 3, 4, 4, 5, 6, 7, 8, 9, 10], np.int32)
    # "b" ends with frame 3, "c" starts with frame 8: the cut is at (4 + 8) / 2 = 6 frames of 40 ms
    assert word_spans(path, [2, 2], 50) == [(0, 24), (24, 50)]
    assert word_spans(path[:4], [2], 16) == [(0, 16)]


def test_spans_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def aligned(*arguments: object) -> dict[str, list[tuple[int, int]]]:
        calls.append(arguments)
        return {"u": [(0, 24), (24, 50)]}

    monkeypatch.setattr(alignment, "aligned", aligned)
    (tmp_path / "weights.npz").write_bytes(b"weights")
    features = FeatureCache(np.zeros((50, 80), np.float16), {"u": (0, 50)})
    utterances = [Utterance("u", "u.wav", 0.5, "ann", "ab cd", "train")]
    for _ in range(2):
        found = kept_spans(tmp_path / "spans.json", tmp_path, utterances, features, 0.0)
        assert found == {"u": [(0, 24), (24, 50)]}
    assert len(calls) == 1
    assert json.loads((tmp_path / "spans.json").read_text())["spans"] == {"u": [[0, 24], [24, 50]]}


@pytest.mark.parametrize("change", ["text", "length", "model"])
def test_spans_of_something_else_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    made = iter([{"u": [(0, 50)]}, {"u": [(0, 7)]}])
    monkeypatch.setattr(alignment, "aligned", lambda *arguments: next(made))
    model, kept = tmp_path / "weights.npz", tmp_path / "spans.json"
    model.write_bytes(b"weights")

    def spans(text: str, frames: int) -> dict[str, list[tuple[int, int]]]:
        features = FeatureCache(np.zeros((60, 80), np.float16), {"u": (0, frames)})
        return kept_spans(kept, tmp_path, [Utterance("u", "u.wav", 0.5, "ann", text, "train")], features, 0.0)

    assert spans("ab", 50) == {"u": [(0, 50)]} == spans("ab", 50)
    if change == "model":
        model.write_bytes(b"others")
    assert spans("cd" if change == "text" else "ab", 60 if change == "length" else 50) == {"u": [(0, 7)]}


def test_words_of_real_speech_take_the_longer_the_more_letters_they_have() -> None:
    """On recordings that the bundled model never heard."""
    utterances = read_manifest(SAMPLES)[:2]
    frames = [log_mel(load_audio(Path(u.audio))) for u in utterances]
    starts = np.cumsum([0, *(len(f) for f in frames)]).tolist()
    places = {u.id: (start, len(f)) for u, start, f in zip(utterances, starts, frames, strict=False)}
    features = FeatureCache(np.concatenate(frames).astype(np.float16), places)
    silence = float(np.log(LOG_FLOOR))
    found = aligned(bundled_model(), utterances, features, silence)
    for utterance in utterances:
        spans, words = found[utterance.id], utterance.transcript.split()
        assert len(spans) == len(words)
        assert spans[0][0] == 0 and spans[-1][1] == places[utterance.id][1]
        assert all(a[1] == b[0] and a[0] < a[1] for a, b in itertools.pairwise(spans))
        letters, durations = [len(w) for w in words[1:-1]], [end - start for start, end in spans[1:-1]]
        assert np.corrcoef(letters, durations)[0, 1] > 0.5


def test_a_model_whose_lower_head_says_something_else_aligns_nothing(tmp_path: Path, make_model: Callable) -> None:
    model = Transducer(dataclasses.replace(make_model().config, characters=41))
    tokenizer = train_tokenizer(["a b ab ba c"] * 3, 11)
    save_model(tmp_path / "other", model.config, tokenizer, weights_of(model.variables), {})
    with pytest.raises(ConfigError, match="splice_model: expected a model whose lower head says the 28 characters"):
        aligned(tmp_path / "other", [], FeatureCache(np.zeros((0, 80), np.float16), {}), 0.0)
