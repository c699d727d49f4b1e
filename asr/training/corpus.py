"""What a run trains and is evaluated on: manifests, tokenizer, feature cache and normalisation."""

import dataclasses
import logging
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import ConfigError
from asr.features import FRAMES_PER_SECOND, HOP_SAMPLES, LOG_FLOOR, MEL_BINS, SAMPLE_RATE, log_mel
from asr.tokenizer import Tokenizer, characters, read_tokenizer, train_tokenizer
from asr.training.alignment import kept_spans
from asr.training.config import TrainConfig
from asr.training.pronunciations import Pronunciations, read_pronunciations
from asr.training.text import TextBatches, sentences
from data.audio import load_audio, recordings_in
from data.batches import Example, Splice, make_buckets, too_long, unspliced
from data.cache import FeatureCache, build_cache
from data.joining import Joined, runs
from data.manifest import Utterance, read_manifest
from data.splice import Part, Splicer
from data.teacher import Teacher, read_teacher

FEATURE_SETTINGS = f"log-mel {MEL_BINS} hop {HOP_SAMPLES} at {SAMPLE_RATE} Hz, floor {LOG_FLOOR}"
SILENCE = float(np.log(LOG_FLOOR))  # log-mel of digital silence
SYNTHETIC = "synth-"  # how the names of synthetic speakers start
TOKENIZER_SENTENCES = 60_000  # sentences of each text file that a learnt tokenizer sees

log = logging.getLogger(__name__)

Join = Callable[[Sequence[Example], np.random.Generator], Sequence[Example]]  # of one epoch


def unjoined(examples: Sequence[Example], rng: np.random.Generator) -> Sequence[Example]:
    """Leaves every example by itself."""
    return examples


@dataclass(frozen=True)
class Corpus:
    """Everything a run reads.

    Attributes:
        tokenizer: Wordpieces.
        train: Training examples.
        dev: Evaluation utterances by split.
        features: Cached frames of all of them, by utterance id.
        noises: Log-mel frames of noise recordings.
        mean: [80] mean of the training features.
        deviation: [80] standard deviation of the training features.
        pronunciations: What the phoneme head says of the transcripts; None: it is not trained.
        splice: Takes spliced utterances in the place of some examples.
        join: Puts some of the examples of an epoch behind each other, with pauses.
        text: Sentences for the text loss, training transcripts included; None: it is off.
        teacher: What a teacher says of the training recordings; None: there is none.
    """

    tokenizer: Tokenizer
    train: list[Example]
    dev: dict[str, list[Utterance]]
    features: FeatureCache
    noises: list[NDArray[np.float32]]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    pronunciations: Pronunciations | None = None
    splice: Splice = unspliced
    join: Join = unjoined
    text: TextBatches | None = None
    teacher: Teacher | None = None


def featurise(path: Path) -> NDArray[np.float32]:
    """Log-mel frames of an audio file, [t, 80]."""
    return log_mel(load_audio(path))


def load_corpus(config: TrainConfig, base: Path, run: Path) -> Corpus:
    """Reads manifests, learns or reads the tokenizer, fills the feature cache.

    Args:
        config: The run's configuration.
        base: Folder that the config's paths are relative to.
        run: The run's folder.

    Raises:
        ConfigError: if a split has no utterances, the model has not as many phonemes as the pronunciations, or a
            recording of noise has no frame.
        AsrError: if a word has no pronunciation, and there are some.
        ValueError: from the manifest or the audio, naming the file.
    """
    data = config.data
    splits = list(dict.fromkeys([*data.train, *data.dev]))
    utterances = read_manifest(base / data.manifest, splits=splits)
    by_split = {s: [u for u in utterances if u.split == s and u.text] for s in splits}
    for split, found in by_split.items():
        if not found:
            raise ConfigError(f"{data.manifest}: expected utterances of split {split!r} with a text, found none")
    train = [u for s in data.train for u in by_split[s]]
    tokenizer = _tokenizer(config, base, train)
    train = heard_speakers(train, data.speaker_share)
    pronunciations = _pronunciations(config, base, [*train, *(u for s in data.dev for u in by_split[s])])
    noise = _noise_utterances(base / data.noise) if data.noise else []
    cache = build_cache(
        [*utterances, *noise],
        run / data.cache,
        featurise,
        FEATURE_SETTINGS,
        bins=MEL_BINS,
        jobs=data.jobs,
        progress=_log_progress,
    )
    for u in noise:
        if not cache.spans[u.id][1]:
            raise ConfigError(f"noise: {u.audio}: expected a recording of at least one frame, got a shorter one")
    examples = [_example(u, cache.spans[u.id][1], tokenizer, pronunciations) for u in train]
    mean, deviation = _statistics(cache, train)
    dev = {s: by_split[s] for s in data.dev}
    splice = _splice(config, base, run, train, cache, tokenizer, pronunciations)
    join = _join(config, tokenizer, pronunciations)
    text = _text(config, base, train, tokenizer) if config.loss.text else None
    noises = [cache[u.id] for u in noise]
    teacher = _teacher(base / data.teacher, train) if data.teacher else None
    return Corpus(tokenizer, examples, dev, cache, noises, mean, deviation, pronunciations, splice, join, text, teacher)


def _teacher(folder: Path, train: Sequence[Utterance]) -> Teacher:
    """What a teacher says of the training recordings, or of some of them."""
    frames = read_teacher(folder).frames
    heard = {u.id: frames.spans[u.id] for u in train if frames.holds(u)}  # of others, it heard what they were
    log.info("teacher: heard %d of %d recordings", len(heard), len(train))
    if not heard:
        raise ConfigError(
            f"teacher: expected frames of some of {len(train)} training recordings in {folder}, found none"
        )
    return Teacher(dataclasses.replace(frames, spans=heard))


def _splice(
    config: TrainConfig,
    base: Path,
    run: Path,
    train: Sequence[Utterance],
    cache: FeatureCache,
    tokenizer: Tokenizer,
    pronunciations: Pronunciations | None,
) -> Splice:
    augment = config.augment
    if not augment.splice_probability:
        return unspliced
    real = [u for u in train if not u.speaker.startswith(SYNTHETIC)]
    spans = kept_spans(run / "spans.json", base / augment.splice_model, real, cache, SILENCE)
    splicer = Splicer(real, spans, cache.__getitem__, augment.splice_words)

    def splice(
        example: Example, rng: np.random.Generator
    ) -> tuple[Example, NDArray[np.float32], tuple[Part, ...]] | None:
        if rng.random() >= augment.splice_probability:
            return None
        found = splicer(example.utterance.id, rng)
        if found is None:
            return None
        made = dataclasses.replace(example.utterance, text=found.text)
        return _example(made, len(found.frames), tokenizer, pronunciations), found.frames, found.parts

    return splice


def _join(config: TrainConfig, tokenizer: Tokenizer, pronunciations: Pronunciations | None) -> Join:
    augment = config.augment
    if not augment.join_probability:
        return unjoined
    buckets = make_buckets(config.data.bucket_frames, config.data.batch_frames)
    longest = int(config.data.bucket_frames[-1] * min(augment.speeds))  # fits at any speed
    pause = round(augment.join_pause_ms * FRAMES_PER_SECOND / 1000)

    def join(examples: Sequence[Example], rng: np.random.Generator) -> Sequence[Example]:
        found = too_long(examples, buckets, augment.speeds)  # one in a row would take its neighbours out with it
        left_out = {id(e) for e in found}
        examples = [e for e in examples if id(e) not in left_out]
        for row, pauses in runs([e.frames for e in examples], augment.join_probability, pause, longest, rng):
            members = [examples[i] for i in row]
            if not any(pauses) and len(row) == 1:
                found.append(members[0])
                continue
            said = " ".join(filter(None, (e.utterance.transcript for e in members)))
            frames = sum(e.frames for e in members) + sum(pauses)
            made = _example(dataclasses.replace(members[0].utterance, text=said), frames, tokenizer, pronunciations)
            joined = Joined(tuple(e.utterance.id for e in members), tuple(pauses))
            made = dataclasses.replace(made, joined=joined)
            # So many labels for its length may fit no bucket.
            found += members if too_long([made], buckets, augment.speeds) else [made]
        return found

    return join


def heard_speakers(utterances: Sequence[Utterance], share: float) -> list[Utterance]:
    """Utterances of a share of the speakers, drawn by their names: of a larger share they are a part.

    Raises:
        ConfigError: if no speaker is left.
    """
    if share >= 1.0:
        return list(utterances)
    found = [u for u in utterances if zlib.crc32(u.speaker.encode()) < share * 2**32]
    if not found:
        speakers = len({u.speaker for u in utterances})
        raise ConfigError(f"speaker_share: expected a share that leaves one of {speakers} speakers, got {share}")
    return found


def _text(config: TrainConfig, base: Path, train: Sequence[Utterance], tokenizer: Tokenizer) -> TextBatches:
    found = [u.transcript for u in train]
    for text in config.data.texts:
        found += sentences(base / text)
    log.info("text loss: %d sentences", len(found))
    return TextBatches(found, tokenizer, config.data.text_labels, config.schedule.seed)


def _example(utterance: Utterance, frames: int, tokenizer: Tokenizer, pronunciations: Pronunciations | None) -> Example:
    pieces = tokenizer.encode(utterance.transcript)
    ends = np.cumsum([len(tokenizer.texts[p]) for p in pieces])
    middles = (ends - np.array([len(tokenizer.texts[p]) / 2 for p in pieces])) / max(1, ends[-1] if len(ends) else 1)
    labels = tuple(characters(utterance.transcript)), tuple(pieces)
    phonemes = None if pronunciations is None else tuple(pronunciations.encode(utterance.transcript))
    return Example(utterance, frames, *labels, tuple(float(m) for m in middles), phonemes)


def _pronunciations(config: TrainConfig, base: Path, utterances: Sequence[Utterance]) -> Pronunciations | None:
    if not config.data.pronunciations:
        return None
    found = read_pronunciations(base / config.data.pronunciations)
    if len(found) != config.model.phonemes:
        raise ConfigError(
            f"phonemes: expected {len(found)}, as {config.data.pronunciations} has, got {config.model.phonemes}"
        )
    for utterance in utterances:  # of dev too: an evaluation comes late
        found.encode(utterance.transcript)
    return found


def phoneme_bigram(examples: Sequence[Example], phonemes: int) -> NDArray[np.float32]:
    """Probability of each phoneme (column) after each (row) in the transcripts, [phonemes, phonemes].

    Words follow each other without a break, as they are said. Every pair counts half once more (Jeffreys' prior), so
    that none is impossible.
    """
    counts = np.full((phonemes, phonemes), 0.5)
    for example in examples:
        said = np.array(example.phonemes, np.int32)
        np.add.at(counts, (said[:-1], said[1:]), 1.0)
    return (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)


def _log_progress(done: int, total: int) -> None:
    if done % 1000 == 0 or done == total:
        log.info("features: %d of %d utterances", done, total)


def _noise_utterances(folder: Path) -> list[Utterance]:
    return [Utterance(f"noise/{p.name}", str(p), 1.0, "noise", "", "noise") for p in recordings_in(folder)]


def _tokenizer(config: TrainConfig, base: Path, train: Sequence[Utterance]) -> Tokenizer:
    if config.data.tokenizer:
        tokenizer = read_tokenizer(base / config.data.tokenizer)
    else:
        seen = [u.transcript for u in train]
        for text in config.data.texts:
            seen += islice(sentences(base / text), TOKENIZER_SENTENCES)
        tokenizer = train_tokenizer(seen, config.model.vocabulary)
    if len(tokenizer) != config.model.vocabulary:
        raise ConfigError(f"vocabulary: the tokenizer has {len(tokenizer)} pieces, got {config.model.vocabulary}")
    return tokenizer


def _statistics(cache: FeatureCache, utterances: Sequence[Utterance]) -> tuple[Any, Any]:
    """Mean and standard deviation of each bin over about an hour of evenly spaced utterances."""
    hour = 3600 * FRAMES_PER_SECOND
    total = sum(cache.spans[u.id][1] for u in utterances)
    frames = np.concatenate([cache[u.id] for u in utterances[:: max(1, total // hour)]])
    return frames.mean(axis=0), np.maximum(frames.std(axis=0), 1e-3)
