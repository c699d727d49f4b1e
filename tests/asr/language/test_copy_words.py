"""Words, pronunciations and the network over words of one model beside another."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from asr.cli import app
from asr.config import ModelConfig
from asr.errors import AsrError, CheckpointError
from asr.language import next_word_files, phone_lexicon, word_files
from asr.language.config import FusionWeights, NextWordConfig, PhoneticWeights, WordPrices
from asr.language.copy_command import copy_words_command
from asr.language.lexicon import build_lexicon
from asr.language.lexicon_command import lexicon_command
from asr.language.next_word_files import save_next_words
from asr.language.next_word_model import NextWordModel
from asr.language.ngrams import estimate
from asr.language.phone_lexicon import load_phone_lexicon, words_said
from asr.language.phonetic import load_phonetic
from asr.language.word_files import read_words, save_words, weights_in
from asr.model_folder import bundled_model, decoding_of, read_config, save_model
from asr.tokenizer import read_tokenizer, train_tokenizer
from asr.training.checkpoint import weights_of

PHONEMES = ["a", "k", "s", "t"]
SAID = {"cat": ["k", "a", "t"], "cats": ["k", "a", "t", "s"], "at": [["a", "t"], ["t", "a"]], "a": ["a"]}
SENTENCES = ["a cat at a cat", "cats at cats", "cats at a cat", "at cats a cat"] * 5
OTHERS = ["she sells sea shells at the sea shore", "a cat sat on the mat", "the cats and the hats"] * 5
PHONETIC = {"lm_weight": 0.7, "word_bonus": -0.3, "beam": 12.0, "tokens": 300, "network_share": 0.4}
FUSION, PRICES = FusionWeights(0.3, 0.1, 0.9), WordPrices(outside=-9.0)


def folder_of(path: Path, sentences: list[str], vocabulary: int, about: dict) -> Path:
    """A model folder without weights."""
    tokenizer = train_tokenizer(sentences, vocabulary)
    config = ModelConfig(vocabulary=vocabulary, phonemes=len(about.get("phonemes", ())))
    save_model(path, config, tokenizer, {}, about)
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with words, pronunciations and a network."""
    about = {"phonemes": PHONEMES, "decoding": {"beam": 4, "phonetic": PHONETIC}}
    path = folder_of(tmp_path / "source", SENTENCES, 12, about)
    tokenizer = read_tokenizer(path / "tokenizer.model")
    ngrams = estimate([line.split() for line in SENTENCES], 1, 0.0, 0.0)
    spelling = build_lexicon(ngrams.words, ngrams.log_probs, tokenizer)
    save_words(path / word_files.NAME, ngrams, spelling, tokenizer, FUSION, PRICES)
    (path / "said.json").write_text(json.dumps(SAID), encoding="utf-8")
    lexicon_command(path, path / "said.json", "")
    words = ["<unk>", "cat", "at"]
    network = NextWordModel(NextWordConfig(len(words), 4, 6), dtype="float32")
    save_next_words(path / next_word_files.NAME, words, weights_of(network.variables))
    return path


def said_in(folder: Path) -> dict[str, list[list[str]]]:
    """Pronunciations of a folder's words, as its lexicon has them."""
    ngrams, _, _ = read_words(folder / word_files.NAME, read_tokenizer(folder / "tokenizer.model"))
    lexicon = load_phone_lexicon(folder / phone_lexicon.NAME, ngrams.words, ngrams.log_probs)
    return words_said(lexicon, ngrams.words)


def test_another_model_has_the_same_words(source: Path, tmp_path: Path) -> None:
    """Spelt by its own wordpieces, said with its own numbers of phonemes; found by the phonetic search from then on."""
    symbols = ["t", "x", "s", "k", "a"]
    model = folder_of(tmp_path / "model", OTHERS, 40, {"name": "mine", "phonemes": symbols})
    lines = copy_words_command(source, model)
    assert [line.split(":")[0].rpartition("/")[2] for line in lines] == [
        phone_lexicon.NAME,
        word_files.NAME,
        next_word_files.NAME,
        "config.json",
    ]
    assert lines[-1].endswith("source's beam and phonetic")
    before, _, _ = read_words(source / word_files.NAME, read_tokenizer(source / "tokenizer.model"))
    tokenizer = read_tokenizer(model / "tokenizer.model")
    after, spelling, meta = read_words(model / word_files.NAME, tokenizer)
    assert after.words == before.words
    for name in ("log_probs", "bigram_words", "bigram_log_probs", "trigram_words", "trigram_log_probs"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    expected = build_lexicon(before.words, before.log_probs, tokenizer)
    np.testing.assert_array_equal(spelling.base, expected.base)
    assert weights_in(model, meta) == (FUSION, PRICES)
    several = {word: said if isinstance(said[0], list) else [said] for word, said in SAID.items()}
    assert said_in(source) == several
    assert said_in(model) == several
    assert (model / next_word_files.NAME).read_bytes() == (source / next_word_files.NAME).read_bytes()
    assert read_config(model)[1]["name"] == "mine"
    decoding = decoding_of(model)
    assert (decoding.beam, decoding.phonetic) == (0, PhoneticWeights(**PHONETIC))
    words = load_phonetic(model, tokenizer, len(symbols), decoding.phonetic)
    assert words.lexicon.symbols == tuple(symbols)


def test_what_a_model_cannot_say_is_left_out(source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With a warning; what it says of its decoding stays. One that can say nothing is left as it was."""
    model = folder_of(tmp_path / "model", OTHERS, 40, {"phonemes": ["a", "k", "t"], "decoding": {"beam": 8}})
    with caplog.at_level(logging.WARNING):
        lines = copy_words_command(source, model)
    assert "left out 1 words without a pronunciation of these phonemes, such as 'cats'" in caplog.text
    assert said_in(model).keys() == {"cat", "at", "a"}
    assert decoding_of(model).beam == 8
    assert decoding_of(model).phonetic == PhoneticWeights(**PHONETIC)
    assert lines[-1].endswith("source's phonetic")
    assert copy_words_command(source, model)[-1].endswith("source's nothing, for it said all")
    none = folder_of(tmp_path / "none", OTHERS, 40, {"phonemes": ["x"]})
    before = sorted(path.name for path in none.iterdir())
    with pytest.raises(AsrError, match="expected words that these phonemes can say"):
        copy_words_command(source, none)
    assert sorted(path.name for path in none.iterdir()) == before


def test_files_of_other_words_do_not_stay(source: Path, tmp_path: Path) -> None:
    """They could not be read any more; what is missing is said."""
    model = folder_of(tmp_path / "model", OTHERS, 40, {"phonemes": PHONEMES})
    copy_words_command(source, model)
    for name in (next_word_files.NAME, phone_lexicon.NAME):
        (source / name).unlink()
        lines = copy_words_command(source, model)
        assert f"{model / name}: removed, for it was of other words" in lines
        assert not (model / name).exists()
    assert lines[-1] == f"{source} has no pronunciations; asr lexicon {model} makes them"


def test_a_model_without_phonemes_has_words_for_its_beam(source: Path, tmp_path: Path) -> None:
    """And nothing that only the phonetic search reads."""
    model = folder_of(tmp_path / "model", OTHERS, 40, {})
    assert copy_words_command(source, model)[-1].endswith("a beam search has these words: --beam 16")
    assert not (model / phone_lexicon.NAME).exists()
    assert not (model / next_word_files.NAME).exists()
    assert decoding_of(model).beam == 1


def test_folders_that_have_nothing_are_refused(source: Path, tmp_path: Path) -> None:
    """The same folder twice, a source without words, no model."""
    with pytest.raises(AsrError, match="expected two model folders"):
        copy_words_command(source, source)
    model = folder_of(tmp_path / "model", OTHERS, 40, {})
    with pytest.raises(CheckpointError, match=word_files.NAME):
        copy_words_command(model, source)
    with pytest.raises(CheckpointError, match=r"tokenizer\.model"):
        copy_words_command(source, tmp_path / "nowhere")


def test_the_bundled_words_are_there_for_every_model(tmp_path: Path) -> None:
    """The command, as README has it: nothing is lost on the way."""
    bundled = bundled_model()
    symbols = read_config(bundled)[1]["phonemes"]
    model = folder_of(tmp_path / "model", OTHERS, 40, {"phonemes": symbols[::-1]})
    app(["copy-words", str(model)], standalone_mode=False)
    theirs, ours = ({word: sorted(said) for word, said in said_in(one).items()} for one in (bundled, model))
    assert len(theirs) > 150_000
    assert ours == theirs
    assert decoding_of(model).phonetic == decoding_of(bundled).phonetic
    assert decoding_of(model).beam == 0
