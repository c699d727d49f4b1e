"""`asr copy-words`: the language models and the lexicon of one model beside another."""

import dataclasses
import os
import shutil
from pathlib import Path

from asr.errors import AsrError
from asr.language import next_word_files, phone_lexicon
from asr.language.lexicon import build_lexicon
from asr.language.lexicon_command import phonemes_of, write_lexicon
from asr.language.phone_lexicon import load_phone_lexicon, words_said
from asr.language.word_command import told
from asr.language.word_files import NAME, read_words, save_words, weights_in
from asr.model_folder import decoding_of, save_decoding
from asr.tokenizer import read_tokenizer


def copy_words_command(source: Path, model: Path) -> list[str]:
    """Writes what `source` knows of words into `model`, whose wordpieces spell them and whose phonemes say them.

    A model with a phoneme head also gets the lexicon and the network over words, where the source has them, and is
    decoded by the phonetic search with the source's weights from then on, unless its folder says otherwise already.

    Args:
        source: Model folder with `words.npz`.
        model: Model folder of another tokenizer, and perhaps of other phonemes.

    Returns:
        What was written, a line for each file.

    Raises:
        CheckpointError: if a file of either cannot be read.
        AsrError: if the two are one, or none of the words can be said with the model's phonemes.
    """
    if source.resolve() == model.resolve():
        raise AsrError(f"expected two model folders, got {model} twice")
    tokenizer = read_tokenizer(model / "tokenizer.model")
    ngrams, _, meta = read_words(source / NAME, read_tokenizer(source / "tokenizer.model"))
    fusion, prices = weights_in(source / NAME, meta)
    symbols = phonemes_of(model)
    spelling = build_lexicon(ngrams.words, ngrams.log_probs, tokenizer)
    save_words(model / NAME, ngrams, spelling, tokenizer, fusion, prices)
    lines = [told(model / NAME, ngrams)]
    path = source / phone_lexicon.NAME
    if not symbols or not path.is_file():
        return lines
    lexicon = load_phone_lexicon(path, ngrams.words, ngrams.log_probs)
    lines.append(write_lexicon(model, symbols, ngrams, words_said(lexicon, ngrams.words), lexicon.voice))
    if save_decoding(model, {"beam": 0, "phonetic": dataclasses.asdict(decoding_of(source).phonetic)}):
        lines.append(f"{model / 'config.json'}: the phonetic search, with the weights of {source}")
    path = source / next_word_files.NAME
    if path.is_file():
        partial = model / f".{path.name}.{os.getpid()}.tmp"
        shutil.copyfile(path, partial)
        partial.replace(model / path.name)
        lines.append(f"{model / path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return lines
