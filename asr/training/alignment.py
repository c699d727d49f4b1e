"""Word spans of training utterances by forced alignment with a model's character head."""

import hashlib
import itertools
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.encoder.subsampling import STRIDE
from asr.errors import ConfigError
from asr.model_folder import load_model
from asr.tokenizer import CHARACTERS, characters
from asr.training.compiled import compiled
from asr.training.dev import BATCH_FRAMES, batches_by_length, padded
from data.cache import FeatureCache
from data.manifest import Utterance

Span = tuple[int, int]
MAX_FRAMES = 3000  # longer recordings are not aligned

log = logging.getLogger(__name__)


def forced_path(log_probs: NDArray[np.float32], labels: Sequence[int]) -> NDArray[np.int32] | None:
    """The likeliest CTC path of labels (Graves et al. 2006, Viterbi instead of their forward pass).

    Args:
        log_probs: [S, V + 1], blank last.
        labels: U symbols.

    Returns:
        [S] place of the label that each frame says, 2u + 1 for label u and even numbers for blanks; None if the labels
        do not fit.
    """
    if not len(log_probs):  # a recording shorter than one of these frames
        return None
    blank, width = log_probs.shape[1] - 1, 2 * len(labels) + 1
    symbols = np.full(width, blank)
    symbols[1::2] = labels
    skip = np.zeros(width, bool)
    skip[3::2] = symbols[3::2] != symbols[1:-2:2]
    score = np.full(width, -np.inf, np.float32)
    score[:2] = log_probs[0, symbols[:2]]
    moves = np.zeros((len(log_probs), width), np.int8)
    for t in range(1, len(log_probs)):
        choices = np.full((3, width), -np.inf, np.float32)
        choices[0], choices[1, 1:] = score, score[:-1]
        choices[2, 2:] = np.where(skip[2:], score[:-2], -np.inf)
        moves[t] = choices.argmax(0)
        score = choices.max(0) + log_probs[t, symbols]
    place = width - len(score[-2:]) + int(score[-2:].argmax())  # the last label or the blank after it
    if not np.isfinite(score[place]):
        return None
    path = np.zeros(len(log_probs), np.int32)
    for t in range(len(log_probs) - 1, -1, -1):
        path[t] = place
        place -= int(moves[t, place])
    return path


def word_spans(path: NDArray[np.int32], sizes: Sequence[int], frames: int) -> list[Span]:
    """Spans of a transcript's words, in log-mel frames, from the path of its symbols at 40 ms.

    Words meet in the middle between the last frame of one word's symbols and the first of the next one's.

    Args:
        path: As of `forced_path`.
        sizes: Symbols of each word, at least one; between two words is one more.
        frames: Of the recording.
    """
    said = np.flatnonzero(path % 2 == 1)
    labels = path[said] // 2
    cuts, at = [0], 0
    for size in sizes[:-1]:
        at += size  # the space after the word
        before, after = said[labels < at], said[labels > at]
        cuts.append(round(STRIDE * (before[-1] + 1 + after[0]) / 2))
        at += 1
    cuts.append(frames)
    return list(itertools.pairwise(cuts))


def kept_spans(
    path: Path,
    folder: Path,
    utterances: Sequence[Utterance],
    features: FeatureCache,
    fill: float,
) -> dict[str, list[Span]]:
    """As `aligned`; a file keeps them, so that a run that goes on splices what it spliced before.

    With another model, other recordings or other transcripts they are aligned anew.
    """
    digest = hashlib.sha256((folder / "weights.npz").read_bytes())
    for utterance in utterances:
        digest.update(repr((utterance.id, utterance.text, features.spans[utterance.id][1])).encode())
    subject = digest.hexdigest()
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if kept.get("subject") != subject:
        kept = {"subject": subject, "spans": aligned(folder, utterances, features, fill)}
        partial = path.with_suffix(".tmp")
        partial.write_text(json.dumps(kept), encoding="utf-8")
        partial.replace(path)
    return {name: [(start, end) for start, end in spans] for name, spans in kept["spans"].items()}


def aligned(
    folder: Path,
    utterances: Sequence[Utterance],
    features: FeatureCache,
    fill: float,
) -> dict[str, list[Span]]:
    """Word spans of every utterance that can be aligned, by id.

    Args:
        folder: Model folder.
        utterances: With transcripts.
        features: Their frames.
        fill: Value of frames past the end.

    Raises:
        ConfigError: if the model's lower head says something else than characters.
    """
    model, _ = load_model(folder)
    if model.config.characters != len(CHARACTERS):
        expected = f"a model whose lower head says the {len(CHARACTERS)} characters"
        raise ConfigError(f"splice_model: expected {expected}, {folder} has {model.config.characters}")

    def head(frames: Any, lengths: Any) -> Any:
        lower, _ = model(frames, lengths, chunk=frames.shape[1])
        return ops.log_softmax(ops.cast(model.characters(lower), "float32"), axis=-1)

    run = compiled(head, model)
    kept = [u for u in utterances if u.transcript and features.spans[u.id][1] <= MAX_FRAMES]
    counts = [features.spans[u.id][1] for u in kept]
    found: dict[str, list[Span]] = {}
    done = 0
    for rows in batches_by_length(counts, BATCH_FRAMES):
        length = padded(max(counts[i] for i in rows))
        size = max(len(rows), BATCH_FRAMES // length)
        frames = np.full((size, length, features.frames.shape[1]), fill, np.float32)
        lengths = np.zeros(size, np.int32)
        for row, i in enumerate(rows):
            frames[row, : counts[i]], lengths[row] = features[kept[i].id], counts[i]
        log_probs = np.asarray(run(ops.convert_to_tensor(frames), ops.convert_to_tensor(-(-lengths // 8) * 8)))
        for row, i in enumerate(rows):
            text = kept[i].transcript
            path = forced_path(log_probs[row, : counts[i] // STRIDE], characters(text))
            if path is not None:
                sizes = [len(word) for word in text.split()]
                found[kept[i].id] = word_spans(path, sizes, counts[i])
        done += len(rows)
        log.info("aligned: %d of %d utterances", done, len(kept))
    return found
