"""`asr calibrate`: measures how a model's labels become word times and confidences, and writes it into its folder."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress

from asr.decoding.phonemes import PhonemeSearch
from asr.decoding.words import MAX_LAG_MS, WordRule, logit_of
from asr.errors import AsrError
from asr.evaluate import read_scored
from asr.evaluation.alignment import Aligner
from asr.evaluation.listening import listen
from asr.evaluation.word_measures import WordMeasures, calibration_error
from asr.model_folder import save_word_rule
from asr.streaming.recognizer import Recognizer
from data.audio import load_audio
from data.text import normalise

FEWEST = 100  # words that a fit needs
ROUND_MS = 10


def calibrate(
    manifest: Path,
    splits: Sequence[str],
    model: Path,
    chunk_ms: int,
    batch: int,
    every: int = 1,
    beam: int | None = None,
) -> dict[str, Any]:
    """Fits the rule on recordings that the model was not trained on, and writes it.

    Args:
        manifest: JSONL file.
        splits: Splits to fit on.
        model: Model folder, whose config.json is changed.
        chunk_ms: Audio per step.
        batch: Utterances at a time.
        every: Only every so many utterances; the others can tell how well it went (`asr evaluate`).
        beam: Of the search whose rule it is, the phonetic one's or the others'; None: the model's.

    Returns:
        The rule, and the calibration error on the same recordings before and after.

    Raises:
        AsrError: if a split has no transcripts, there are too few words, or pocketsphinx is not installed.
    """
    utterances = read_scored(manifest, splits)[::every]
    recognizer = Recognizer(model, chunk_ms, streams=batch, beam=beam)
    aligner, measures = Aligner(), WordMeasures()
    transducer = recognizer.transducer
    transducer.word_rule = transducer.phonetic_rule = WordRule()  # what is measured is what the model itself says
    with Progress(console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("listening", total=len(utterances))
        for heard in listen(recognizer, utterances, progress=lambda done, total: bars.update(bar, completed=done)):
            utterance = heard.utterance
            measures.add(heard, aligner.align(load_audio(utterance.audio), normalise(utterance.transcript).split()))
    rule = fitted(measures)
    save_word_rule(model, rule, isinstance(recognizer.engine.search, PhonemeSearch))
    raw, right = np.array(measures.confidences), np.array(measures.right)
    after = np.array([rule.confidence(c) for c in measures.confidences])
    return {
        **vars(rule),
        "words": len(raw),
        "calibration_error_before": round(calibration_error(raw, right), 4),
        "calibration_error_after": round(calibration_error(after, right), 4),
    }


def fitted(measures: WordMeasures) -> WordRule:
    """The rule from what a model without one said.

    Raises:
        AsrError: if there are too few words.
    """
    if len(measures.starts_ms) < FEWEST or len(measures.confidences) < FEWEST:
        found = f"{len(measures.confidences)} recognised, {len(measures.starts_ms)} of them right and aligned"
        raise AsrError(f"expected {FEWEST} words or more that were recognised right and can be aligned, got {found}")
    lags = [
        min(MAX_LAG_MS, max(-MAX_LAG_MS, ROUND_MS * round(float(np.median(values)) / ROUND_MS)))
        for values in (measures.starts_ms, measures.ends_ms)
    ]
    logits = np.array([logit_of(c) for c in measures.confidences])
    scale, shift = logistic(logits, np.array(measures.right))
    return WordRule(lags[0], lags[1], round(scale, 4), round(shift, 4))


def logistic(logits: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, float]:
    """Scale and shift of the logits under which what came true is likeliest, by Newton's method.

    Args:
        logits: [n].
        right: [n].
    """
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    signs = np.where(right, 1.0, -1.0)

    def loss(weights: NDArray[np.float64]) -> float:  # all right, or all wrong, has no finite best without the second
        return float(np.logaddexp(0.0, -signs * (design @ weights)).sum() + 5e-4 * weights @ weights)

    weights = np.array([1.0, 0.0])
    for _ in range(50):
        probabilities = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30.0, 30.0)))
        gradient = design.T @ (right - probabilities) - 1e-3 * weights
        curvature = (design * (probabilities * (1 - probabilities))[:, None]).T @ design + 1e-3 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        while loss(weights + step) > loss(weights) and math.hypot(*step) > 1e-9:  # far from the best it overshoots
            step = step / 2
        weights = weights + step
        if math.hypot(*step) < 1e-9:
            break
    return max(float(weights[0]), 1e-3), float(weights[1])
