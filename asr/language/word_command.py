"""`asr train-words`: texts to word trigrams beside a model."""

import logging
from collections.abc import Sequence
from pathlib import Path

from asr.language.corpus import read_sentences
from asr.language.lexicon import build_lexicon
from asr.language.ngrams import estimate
from asr.language.word_files import NAME, save_words
from asr.tokenizer import read_tokenizer

log = logging.getLogger(__name__)


def train_words_command(
    texts: Sequence[Path], model: Path, min_count: int, bigram_gain: float, trigram_gain: float
) -> str:
    """Estimates the trigrams and writes `words.npz` into the model folder.

    Args:
        texts: Normalised sentences, one a line; a text that stands twice counts twice.
        model: Model folder, whose tokenizer spells the words.
        min_count: See `asr.language.ngrams.estimate`, as of the gains.
        bigram_gain: In nats.
        trigram_gain: In nats.

    Returns:
        What was written, in a line.

    Raises:
        CheckpointError: if the model folder's tokenizer cannot be read.
        AsrError: if a text cannot be read, or there is too little.
    """
    tokenizer = read_tokenizer(model / "tokenizer.model")
    sentences = [line.split() for text in texts for line in read_sentences(text)]
    log.info("%d sentences", len(sentences))
    ngrams = estimate(sentences, min_count, bigram_gain, trigram_gain)
    lexicon = build_lexicon(ngrams.words, ngrams.log_probs, tokenizer)
    path = model / NAME
    save_words(path, ngrams, lexicon, tokenizer)
    counts = len(ngrams.words), len(ngrams.bigram_words), len(ngrams.trigram_words)
    return f"{path}: {counts[0]} words, {counts[1]} bigrams, {counts[2]} trigrams, {path.stat().st_size / 1e6:.1f} MB"
