"""`asr train-words`: texts and language models to word trigrams beside a model."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.errors import AsrError
from asr.language.imported import read_counts
from asr.language.lexicon import build_lexicon
from asr.language.mixture import merged, mixture_weights
from asr.language.ngrams import RESERVED, NgramModel, estimate
from asr.language.sphinx import read_ngrams
from asr.language.word_files import NAME, save_words
from asr.tokenizer import read_tokenizer
from asr.training.text import sentences

log = logging.getLogger(__name__)

_ALL = -1e9  # nats that every n-gram gains


@dataclass(frozen=True)
class Sources:
    """What word trigrams are made of.

    Attributes:
        texts: A sentence a line, normalised when they are read.
        ngrams: Trigram models, as ARPA files or in CMU Sphinx's binary format.
        counts: Lists of words and of pairs of words with their counts, together one model.
        held_out: Sentences by which each text, each model and the counts get their share; None: all texts are one,
            and a text that stands twice counts twice.
    """

    texts: Sequence[Path]
    ngrams: Sequence[Path] = ()
    counts: Sequence[Path] = ()
    held_out: Path | None = None


def train_words_command(sources: Sources, model: Path, min_count: int, bigram_gain: float, trigram_gain: float) -> str:
    """Estimates the trigrams and writes `words.npz` into the model folder.

    Args:
        sources: What they are made of.
        model: Model folder, whose tokenizer spells the words.
        min_count: Words that a text has less often are unknown in it.
        bigram_gain: In nats: see `asr.language.ngrams.estimate`, and `asr.language.mixture.merged` of several sources.
        trigram_gain: The same for trigrams.

    Returns:
        What was written, in a line.

    Raises:
        CheckpointError: if the model folder's tokenizer cannot be read.
        AsrError: if a file cannot be read, if there is too little, or nothing that tells the sources' shares.
    """
    tokenizer = read_tokenizer(model / "tokenizer.model")
    if sources.held_out:
        ngrams = _mixed(sources, sources.held_out, min_count, bigram_gain, trigram_gain)
    else:
        if sources.ngrams or sources.counts:
            raise AsrError("expected held-out sentences, which tell the share of each text, model and count, got none")
        found = [line.split() for text in sources.texts for line in sentences(text)]
        log.info("%d sentences", len(found))
        ngrams = estimate(found, min_count, bigram_gain, trigram_gain)
    path = model / NAME
    save_words(path, ngrams, build_lexicon(ngrams.words, ngrams.log_probs, tokenizer), tokenizer)
    return told(path, ngrams)


def told(path: Path, ngrams: NgramModel) -> str:
    """What a file of word trigrams has, in a line."""
    counts = len(ngrams.words) - len(RESERVED), len(ngrams.bigram_words), len(ngrams.trigram_words)
    return f"{path}: {counts[0]} words, {counts[1]} bigrams, {counts[2]} trigrams, {path.stat().st_size / 1e6:.1f} MB"


def _mixed(sources: Sources, held_out: Path, min_count: int, bigram_gain: float, trigram_gain: float) -> NgramModel:
    models: dict[str, NgramModel] = {}
    for path in sources.texts:
        found = [line.split() for line in sentences(path)]
        log.info("%s: %d sentences", path, len(found))
        models[str(path)] = estimate(found, min_count, _ALL, _ALL)
    for path in sources.ngrams:
        models[str(path)] = read_ngrams(path)
        log.info("%s: %d words", path, len(models[str(path)].words))
    if sources.counts:
        models["counts"] = read_counts(sources.counts)
    shares = mixture_weights(list(models.values()), [line.split() for line in sentences(held_out)])
    log.info("shares: %s", ", ".join(f"{name} {share:.3f}" for name, share in zip(models, shares, strict=True)))
    return merged(list(models.values()), shares, bigram_gain, trigram_gain)
