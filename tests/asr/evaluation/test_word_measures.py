"""Times, latencies, confidences and endpoints by hand; a rule fitted to them; real speech aligned."""

from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from asr.decoding.words import WordRule, logit_of
from asr.errors import AsrError, CheckpointError, ConfigError
from asr.evaluation.alignment import Aligner, Said
from asr.evaluation.calibrate import fitted, logistic
from asr.evaluation.listening import Heard, listen
from asr.evaluation.word_measures import WordMeasures, calibration_error
from asr.model_folder import load_model, save_word_rule
from asr.streaming.recognizer import Recognizer
from asr.transcript import Word
from data.audio import load_audio
from data.manifest import Utterance, read_manifest

SAMPLES = Path(__file__).parents[3] / "data" / "samples" / "manifest.jsonl"
UTTERANCE = Utterance("u", "u.wav", 2.0, "ann", "the cat sat", "dev")
SAID = [Said("the", 100, 200), Said("cat", 200, 500), Said("sat", 500, 900)]


def heard(*endpoints_ms: tuple[int, int]) -> Heard:
    """The first word in place, another for the second, the third late."""
    words = [Word("the", 130, 220, 0.9), Word("bat", 210, 500, 0.4), Word("sat", 550, 880, 0.8)]
    return Heard(UTTERANCE, words, [640, 640, 1280], list(endpoints_ms))


def test_only_words_that_were_said_are_timed() -> None:
    measures = WordMeasures()
    measures.add(heard(), SAID)
    assert (measures.starts_ms, measures.ends_ms) == ([30, 50], [20, -20])
    assert measures.latencies_ms == [640 - 200, 1280 - 900]
    assert measures.right == [True, False, True]
    summary = measures.summary()
    assert summary["start_error_ms"] == {"median": 40.0, "bias": 40.0}
    assert summary["end_error_ms"] == {"median": 20.0, "bias": 0.0}
    assert (summary["aligned_words"], summary["matched_words"]) == (3, 2)


def test_endpoints_inside_words_are_counted_and_the_last_ones_delay() -> None:
    measures = WordMeasures()
    measures.add(heard((700, 350), (1900, 1300)), SAID)
    assert (measures.endpoints, measures.cut, measures.delays_ms) == (2, 1, [1000])


def test_what_cannot_be_aligned_has_confidences_only() -> None:
    measures = WordMeasures()
    measures.add(heard((700, 350)), None)
    assert (measures.words, measures.starts_ms, measures.endpoints, len(measures.right)) == (0, [], 0, 3)
    assert WordMeasures().summary()["start_error_ms"] == {"median": None, "bias": None}


def test_the_calibration_error_is_the_distance_of_confidence_and_truth() -> None:
    right = np.array([True, False] * 50)
    assert calibration_error(np.full(100, 0.5), right, 10) == pytest.approx(0.0)
    assert calibration_error(np.full(100, 0.9), right, 10) == pytest.approx(0.4)
    confidences = np.concatenate([np.full(50, 0.2), np.full(50, 0.8)])
    assert calibration_error(confidences, confidences > 0.5, 2) == pytest.approx(0.2)
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0


def test_logistic_finds_what_the_words_were_drawn_by() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(1.0, 2.0, 20_000)
    right = rng.random(20_000) < 1 / (1 + np.exp(-(0.6 * logits - 0.8)))
    assert logistic(logits, right) == pytest.approx((0.6, -0.8), abs=0.06)
    assert np.isfinite(logistic(logits, np.ones(20_000, bool))).all()


def test_logistic_does_not_overshoot() -> None:
    """As of the phonetic search's confidences: all low, most words right, so that whole steps of Newton's run away."""
    rng = np.random.default_rng(7)
    logits = np.log(rng.beta(2.0, 8.0, 8000))
    right = rng.random(8000) < 1.0 / (1.0 + np.exp(-(1.0 * logits + 3.7)))
    assert logistic(logits, right) == pytest.approx((1.0, 3.7), abs=0.2)


def test_the_rule_takes_lags_away_and_makes_confidences_true() -> None:
    rng = np.random.default_rng(1)
    confidences = rng.uniform(0.05, 0.99, 3000)
    right = rng.random(3000) < confidences**2
    measures = WordMeasures(
        starts_ms=list(rng.normal(140, 30, 400)),
        ends_ms=list(rng.normal(66, 30, 400)),
        confidences=list(confidences),
        right=list(right),
    )
    rule = fitted(measures)
    assert (rule.start_lag_ms, rule.end_lag_ms) == (140, 70)
    after = np.array([rule.confidence(c) for c in confidences])
    assert calibration_error(after, right) < 0.03 < calibration_error(confidences, right)
    with pytest.raises(
        AsrError,
        match="expected 100 words or more that were recognised right and can be aligned, got 0 recognised, 0 of",
    ):
        fitted(WordMeasures())


def test_a_model_folder_keeps_the_rule(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    copytree(model_folder, folder)
    assert load_model(folder)[0].word_rule == WordRule()
    rule = WordRule(140, 70, 1.1, -0.8)
    save_word_rule(folder, rule)
    assert load_model(folder)[0].word_rule == rule
    assert load_model(folder)[0].phonetic_rule == WordRule()
    save_word_rule(folder, WordRule(scale=2.0), phonetic=True)
    found = load_model(folder)[0]
    assert (found.word_rule, found.phonetic_rule) == (rule, WordRule(scale=2.0))
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"start_lag_ms": 140', '"start_lag_ms": 900'))
    with pytest.raises(CheckpointError, match="words: start_lag_ms: expected at most 400"):
        load_model(folder)


@pytest.mark.parametrize("values", [{"scale": 0.0}, {"shift": float("nan")}, {"end_lag_ms": -500}])
def test_a_rule_that_cannot_be_is_refused(values: dict) -> None:
    with pytest.raises(ConfigError, match="expected"):
        WordRule(**values)


def test_a_rule_that_changes_nothing_changes_nothing() -> None:
    assert WordRule().confidence(0.37) == 0.37
    assert WordRule(scale=2.0).confidence(0.5) == pytest.approx(0.5)
    assert WordRule(shift=-1.0).confidence(1.0) < 1.0 < logit_of(1.0)


def test_real_speech_is_aligned() -> None:
    """In order, in the recording, and the longer words longer."""
    utterance = next(u for u in read_manifest(SAMPLES) if u.id.startswith("1673"))
    words = utterance.transcript.split()
    aligner = Aligner()
    said = aligner.align(load_audio(utterance.audio), words)
    assert said is not None and [s.word for s in said] == words
    times = [t for s in said for t in (s.start_ms, s.end_ms)]
    assert times == sorted(times) and times[-1] <= 1000 * utterance.seconds
    lengths = [s.end_ms - s.start_ms for s in said]
    assert np.corrcoef(lengths, [len(w) for w in words])[0, 1] > 0.5
    assert aligner.align(load_audio(utterance.audio), ["xqzt"]) is None


def test_every_word_is_heard_with_the_step_that_said_it(
    recogniser: Callable[..., Recognizer], make_audio: Callable
) -> None:
    utterances = [Utterance(f"u{i}", "-", 2.0 + i, "ann", "the cat", "dev") for i in range(3)]
    told: list[tuple[int, int]] = []

    def load(utterance: Utterance) -> np.ndarray:
        return make_audio(utterance.seconds, int(utterance.id[1:]))

    found = {h.utterance.id: h for h in listen(recogniser(640, 2), utterances, 0, lambda *n: told.append(n), load)}
    assert told == [(2, 3), (3, 3)]
    for utterance in utterances:
        one = found[utterance.id]
        transcript = recogniser(640).transcribe(load(utterance))
        assert [w.word for w in one.words] == [w.word for w in transcript.words] != []
        assert len(one.emitted_ms) == len(one.words)
        assert one.emitted_ms == sorted(one.emitted_ms) and one.emitted_ms[-1] <= 1000 * utterance.seconds + 640
