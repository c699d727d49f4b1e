"""The language model: it learns, steps as it reads whole rows, is kept on disk, and joins the beam search."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from keras import ops

from asr.config import from_dict
from asr.decoding.beam import BeamConfig, BeamSearch
from asr.errors import AsrError, CheckpointError, ConfigError
from asr.language.config import FusionWeights, LanguageConfig, LanguageTrainConfig, TextConfig
from asr.language.corpus import encode_texts, read_texts, with_start
from asr.language.files import NAME, load_language, save_language
from asr.language.fusion import LABEL_BONUS, make_search
from asr.language.model import RecurrentLanguageModel
from asr.language.trainer import LanguageTrainer
from asr.model_folder import load_model
from asr.tokenizer import Tokenizer, train_tokenizer
from asr.training.checkpoint import save_arrays, weights_of

TEXT = ["the cat sat on the mat", "a rat ate the hat then", "some tea is hot at noon", "she sat in the sea"] * 40


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXT, 30)


@pytest.fixture
def toy(tmp_path: Path, tokenizer: Tokenizer) -> LanguageTrainConfig:
    (tmp_path / "text.txt").write_text("\n".join(TEXT))
    (tmp_path / "tokenizer.model").write_bytes(tokenizer.model)
    return LanguageTrainConfig(
        model=LanguageConfig(30, 24, 16),
        texts=(TextConfig("text.txt", 2),),
        tokenizer="tokenizer.model",
        held_out=8,
        steps=40,
        rows=8,
        row_labels=16,
        learning_rate=0.02,
        warmup=4,
        log_steps=20,
    )


def test_whole_rows_equal_single_steps(randomised: Callable) -> None:
    model = RecurrentLanguageModel(LanguageConfig(7, 8, 5), dtype="float32")
    randomised(model, 3)
    labels = np.random.default_rng(0).integers(0, 7, (3, 6)).astype(np.int16)
    whole = np.asarray(ops.log_softmax(model(with_start(labels, 7)), axis=-1))
    state = model.initial_state(3)
    for u in range(6):
        np.testing.assert_allclose(np.asarray(model.log_probs(state)), whole[:, u], atol=1e-5)
        state = model.step(ops.convert_to_tensor(labels[:, u].astype(np.int32)), state)


def test_it_learns_and_resumes(toy: LanguageTrainConfig, tmp_path: Path, tokenizer: Tokenizer) -> None:
    trainer = LanguageTrainer(toy, tmp_path, tmp_path / "run")
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert after["nats_per_piece"] < 0.6 * before["nats_per_piece"]
    assert after["word_perplexity"] == pytest.approx(np.exp(after["nats_per_word"]))
    again = LanguageTrainer(toy, tmp_path, tmp_path / "run")
    assert again.step == 40
    assert again.evaluate() == pytest.approx(after, rel=1e-3)
    model, fusion = load_language(tmp_path / "run" / NAME, tokenizer)
    assert fusion == FusionWeights()
    for path, value in weights_of(model.variables).items():
        np.testing.assert_allclose(value, weights_of(trainer.language.variables)[path], atol=2e-3)


def test_a_stopped_run_goes_on_with_the_same_text(toy: LanguageTrainConfig, tmp_path: Path) -> None:
    trainer = LanguageTrainer(toy, tmp_path, tmp_path / "run")
    trainer.train(until=0.0)
    assert trainer.step == 0
    corpus = trainer.corpus
    first = [batch for batch, _ in zip(corpus.batches(toy, 0), range(60), strict=False)]
    np.testing.assert_array_equal(next(corpus.batches(toy, 50)), first[50])
    assert first[0].shape == (8, 16)


def test_held_out_sentences_are_not_learned(toy: LanguageTrainConfig, tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = encode_texts(toy, read_texts(toy, tmp_path), tokenizer)
    assert (len(corpus.held_out), len(corpus.sentences)) == (8, len(TEXT) - 8)
    assert corpus.held_out_words == sum(len(s.split()) for s in TEXT[:8])
    assert all(s[-1] == corpus.start == 30 for s in corpus.sentences)


def test_a_text_that_is_missing_or_too_short_is_named(
    toy: LanguageTrainConfig, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    (tmp_path / "bad.xz").write_bytes(b"no archive")
    for name, message in (("none.txt", "No such file"), ("bad.xz", "expected text")):
        values = {**toy.__dict__, "texts": (TextConfig(name),)}
        with pytest.raises(ConfigError, match=message):
            read_texts(LanguageTrainConfig(**values), tmp_path)
    with pytest.raises(ConfigError, match="held_out: expected fewer"):
        encode_texts(LanguageTrainConfig(**{**toy.__dict__, "held_out": 1000}), read_texts(toy, tmp_path), tokenizer)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "texts: expected one or more"),
        ({"texts": [{"path": "a"}]}, "tokenizer: expected a sentencepiece model"),
        ({"texts": [{}]}, "texts.path: expected a file"),
        ({"texts": [{"path": "a"}], "tokenizer": "t", "rows": 0}, "rows: expected more than 0"),
        ({"model": {"dim": 0}}, "dim: expected more than 0"),
    ],
)
def test_a_wrong_configuration_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_dict(LanguageTrainConfig, values)


def test_another_tokenizer_or_file_is_refused(tmp_path: Path, tokenizer: Tokenizer) -> None:
    config = LanguageConfig(30, 8, 8)
    path = tmp_path / NAME
    save_language(path, config, tokenizer, weights_of(RecurrentLanguageModel(config).variables))
    with pytest.raises(CheckpointError, match="got one for another"):
        load_language(path, train_tokenizer(TEXT, 28))
    save_arrays(path, {}, {"step": 1})
    with pytest.raises(CheckpointError, match="expected a language model of format 1"):
        load_language(path, tokenizer)


def test_the_search_takes_the_folders_language_model(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    copytree(model_folder, folder)
    transducer, tokenizer = load_model(folder)
    plain = make_search(folder, transducer, tokenizer, 4)
    assert plain is not None and plain.config == BeamConfig(4, label_bonus=LABEL_BONUS)
    with pytest.raises(AsrError, match="lm_weight: expected a language model"):
        make_search(folder, transducer, tokenizer, 4, lm_weight=0.3)
    config = LanguageConfig(len(tokenizer), 8, 8)
    weights = weights_of(RecurrentLanguageModel(config, dtype="float32").variables)
    save_language(folder / NAME, config, tokenizer, weights, FusionWeights(0.5, 0.2, 1.0))
    stored = make_search(folder, transducer, tokenizer, 4)
    assert stored is not None and stored.language_model is not None
    assert stored.config == BeamConfig(4, 0.5, 1.0, 0.2)
    chosen = make_search(folder, transducer, tokenizer, 4, 0.1, 0.0)
    assert chosen is not None and chosen.config == BeamConfig(4, 0.1, 1.0, 0.0)
    without = make_search(folder, transducer, tokenizer, 4, 0.0)
    assert without is not None and without.language_model is None
    assert make_search(folder, transducer, tokenizer, 1) is None
    values = json.loads((folder / "config.json").read_text())
    values["decoding"] = {"lm_weight": 0.7, "label_bonus": 1.4, "ctc_weight": 0.2}
    (folder / "config.json").write_text(json.dumps(values))
    configured = make_search(folder, transducer, tokenizer, 4)
    assert configured is not None and configured.config == BeamConfig(4, 0.7, 1.4, 0.2, 0.2)
    chosen = make_search(folder, transducer, tokenizer, 4, 0.1)
    assert chosen is not None and chosen.config == BeamConfig(4, 0.1, 1.4, 0.2, 0.2)


def test_a_beam_or_weight_that_cannot_apply_is_refused(model_folder: Path) -> None:
    transducer, tokenizer = load_model(model_folder)
    for options, message in (
        ((33,), "beam: expected 0 to 32, got 33"),
        ((1, 0.3), "lm_weight: expected a beam of 2 or more"),
        ((4, None, -1.0), "ilm_weight: expected a number of 0 or more"),
    ):
        with pytest.raises(AsrError, match=message):
            make_search(model_folder, transducer, tokenizer, *options)


def test_the_beam_follows_it(make_model: Callable, randomised: Callable) -> None:
    """Compiled and by hand, a strong language model decides the first label."""
    transducer = make_model(0)
    language = RecurrentLanguageModel(LanguageConfig(11, 8, 8), dtype="float32")
    randomised(language, 1)
    bias = np.full(11, -30.0, np.float32)
    bias[4] = 0.0
    language.output_bias.assign(bias)
    search = BeamSearch(transducer, BeamConfig(4, lm_weight=1.0, label_bonus=20.0), language)
    frames = transducer.joint.frames(ops.convert_to_tensor(np.ones((2, 8, 32), np.float32)))
    _, out = search.block(frames, search.initial_state(2), ops.ones((2,), "bool"), 0.0)
    assert np.all(np.asarray(out["labels"])[:, 0, 0] == 4)
