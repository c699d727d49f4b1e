"""`asr lexicon`: how a model's words are pronounced, for the phonetic search."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from asr.errors import AsrError, CheckpointError
from asr.language.ngrams import RESERVED, NgramModel
from asr.language.phone_lexicon import NAME, PhoneLexicon, build_tree, save_phone_lexicon
from asr.language.word_files import NAME as WORDS
from asr.language.word_files import read_words
from asr.model_folder import read_config
from asr.tokenizer import read_tokenizer
from asr.training.pronunciations import read_words_said
from data.cmudict import read_cmudict, sound_alike
from data.pronounce import pronunciations

log = logging.getLogger(__name__)


def lexicon_command(model: Path, listed: Path | None, voice: str, dictionary: Path | None = None) -> str:
    """Writes `lexicon.npz` into the model folder.

    Args:
        model: Model folder, with a phoneme head and `words.npz`.
        listed: JSON of words' phonemes, as `asr-data pronounce` writes it; None: there is none.
        voice: Of espeak-ng, which is asked for the other words, and for those of phrases; "": they are left out.
        dictionary: In the form of the CMU Pronouncing Dictionary; what it says otherwise is another pronunciation.

    Returns:
        What was written, in a line.

    Raises:
        CheckpointError: if a file of the model cannot be read, or it names no phonemes.
        AsrError: if no word can be said with the model's phonemes.
        ConfigError: if the list cannot be read.
        ManifestError: if the dictionary cannot be read.
        SynthesisError: if espeak-ng is missing or fails.
    """
    symbols = phonemes_of(model)
    if not symbols:
        raise CheckpointError(f"{model / 'config.json'}: expected a model with a phoneme head, whose phonemes it names")
    ngrams, _, _ = read_words(model / WORDS, read_tokenizer(model / "tokenizer.model"))
    words = ngrams.words[len(RESERVED) :]
    found: Mapping[str, Sequence[Sequence[str]]] = read_words_said(listed) if listed else {}
    if voice:
        found = {**pronunciations([word for word in words if word not in found], voice), **found}
    if dictionary:
        found = _with_others(found, read_cmudict(dictionary))
    return write_lexicon(model, symbols, ngrams, found, voice)


def phonemes_of(model: Path) -> tuple[str, ...]:
    """Phonemes of a model folder, as its phoneme head numbers them; none: it names none. Raises as `read_config`."""
    symbols = read_config(model)[1].get("phonemes")
    return tuple(str(symbol) for symbol in symbols) if isinstance(symbols, list) else ()


def write_lexicon(
    model: Path,
    symbols: Sequence[str],
    ngrams: NgramModel,
    found: Mapping[str, Sequence[Sequence[str]]],
    voice: str,
) -> str:
    """Writes the pronunciations that a model's phonemes can say, and warns of words that are left without any.

    Args:
        model: Model folder.
        symbols: Its phonemes.
        ngrams: Its words.
        found: Phonemes of words, for every way to say each.
        voice: Of espeak-ng, for words of phrases; "": none.

    Returns:
        What was written, in a line.

    Raises:
        AsrError: if no word can be said.
    """
    numbers = {symbol: i for i, symbol in enumerate(symbols)}
    said = {
        word: [[numbers[phoneme] for phoneme in one] for one in found.get(word, ()) if numbers.keys() >= set(one)]
        for word in ngrams.words[len(RESERVED) :]
    }
    silent = [word for word, several in said.items() if not several]
    if len(silent) == len(said):
        raise AsrError(f"expected words that these phonemes can say ({' '.join(numbers)}), got none of {len(said)}")
    if silent:
        log.warning("left out %d words without a pronunciation of these phonemes, such as %r", len(silent), silent[0])
    path = model / NAME
    tree = build_tree(ngrams.words, ngrams.log_probs, said)
    save_phone_lexicon(path, PhoneLexicon(tuple(numbers), tree, voice), ngrams.words)
    counts = len(said) - len(silent), sum(map(len, said.values())), len(tree.phone)
    return (
        f"{path}: {counts[0]} words, {counts[1]} pronunciations, {counts[2]} nodes, {path.stat().st_size / 1e6:.1f} MB"
    )


def _with_others(
    found: Mapping[str, Sequence[Sequence[str]]], others: Mapping[str, Sequence[str]]
) -> dict[str, list[Sequence[str]]]:
    """Pronunciations, and those of a dictionary that sound otherwise. Words that only it has are new."""
    every = {word: list(said) for word, said in found.items()}
    for word, other in others.items():
        if not any(sound_alike(said, other) for said in every.setdefault(word, [])):
            every[word].append(other)
    return every
