"""`asr copy-words`: the language models and the lexicon of one model beside another."""

import dataclasses
from pathlib import Path

from asr.engine_kind import PHONETIC
from asr.errors import AsrError
from asr.language import next_word_files, phone_lexicon
from asr.language.lexicon import build_lexicon
from asr.language.lexicon_command import phonemes_of, write_lexicon
from asr.language.phone_lexicon import load_phone_lexicon, words_said
from asr.language.word_command import told
from asr.language.word_files import NAME, read_words, save_words, weights_in
from asr.model_folder import decoding_of, save_decoding, write_whole
from asr.tokenizer import read_tokenizer


def copy_words_command(source: Path, model: Path) -> list[str]:
    """Writes what `source` knows of words into `model`, whose wordpieces spell them and whose phonemes say them.

    A model with a phoneme head also gets the lexicon and the network over words, where the source has them, and what
    its folder does not say of its decoding is as the source decodes by the phonetic search. Its own files of the same
    names are replaced, or removed where the source has none: they are of other words.

    Args:
        source: Model folder with `words.npz`.
        model: Model folder of another tokenizer, and perhaps of other phonemes.

    Returns:
        What was done, a line for each file.

    Raises:
        CheckpointError: if a file of either cannot be read.
        AsrError: if the two are one, or none of the words can be said with the model's phonemes.
    """
    if source.resolve() == model.resolve():
        raise AsrError(f"expected two model folders, got {model} twice")
    tokenizer, symbols = read_tokenizer(model / "tokenizer.model"), phonemes_of(model)
    ngrams, _, meta = read_words(source / NAME, read_tokenizer(source / "tokenizer.model"))
    fusion, prices = weights_in(source / NAME, meta)
    decoding = {"beam": PHONETIC, "phonetic": dataclasses.asdict(decoding_of(source).phonetic)}
    said, network = source / phone_lexicon.NAME, source / next_word_files.NAME
    phonetic = bool(symbols) and said.is_file()
    lines = []
    if phonetic:  # first, for it fails if nothing can be said
        lexicon = load_phone_lexicon(said, ngrams.words, ngrams.log_probs)
        lines.append(write_lexicon(model, symbols, ngrams, words_said(lexicon, ngrams.words), lexicon.voice))
    else:
        lines += _removed(model / phone_lexicon.NAME)
    spelling = build_lexicon(ngrams.words, ngrams.log_probs, tokenizer)
    save_words(model / NAME, ngrams, spelling, tokenizer, fusion, prices)
    lines.append(told(model / NAME, ngrams))
    other = model / network.name
    if phonetic and network.is_file():
        write_whole(other, network.read_bytes())
        lines.append(f"{other}: {other.stat().st_size / 1e6:.1f} MB")
    else:
        lines += _removed(other)
    if not symbols:
        return [*lines, f"{model}: it has no phoneme head; a beam search has these words: --beam 16"]
    if not phonetic:
        return [*lines, f"{source} has no pronunciations; asr lexicon {model} makes them"]
    added = save_decoding(model, decoding)
    return [
        *lines,
        f"{model / 'config.json'}: decoding has {source}'s {' and '.join(added) or 'nothing, for it said all'}",
    ]


def _removed(path: Path) -> list[str]:
    if not path.is_file():
        return []
    path.unlink()
    return [f"{path}: removed, for it was of other words"]
