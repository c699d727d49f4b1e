"""The configurations that are shipped: they parse, and are of the size that they say."""

import dataclasses
import math
import re
from pathlib import Path

import pytest

import asr
from asr.config import ModelConfig, read_toml
from asr.language.config import LanguageTrainConfig, NextWordTrainConfig
from asr.language.next_word_files import read_next_words
from asr.training.config import TrainConfig
from asr.transducer.model import Transducer
from data.batches import make_buckets

FOLDER = Path(asr.__file__).parent / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*.toml"))


def test_the_language_models_configuration_parses() -> None:
    config = read_toml(LanguageTrainConfig, FOLDER / "language" / "small.toml")
    assert config.model.vocabulary == 256
    assert [text.times for text in config.texts] == [1, 3]


def test_the_network_over_words_configuration_parses() -> None:
    """It is as large as the bundled one, and its texts are those that the guide makes."""
    config = read_toml(NextWordTrainConfig, FOLDER / "language" / "next-words.toml")
    model = read_next_words(FOLDER.parent / "models" / "small" / "next_words.npz")
    assert (config.model.words, config.model.width) == (len(model[0]), len(model[1]["kernel"]))
    guide = (FOLDER.parents[1] / "docs" / "words.md").read_text(encoding="utf-8")
    assert {text.path for text in config.texts} <= set(re.findall(r"[\w.]+\.txt(?:\.xz)?", guide))


def test_the_sizes_and_the_comparisons_are_there() -> None:
    assert NAMES == ["attention", "base", "encoder-attention", "large", "phonemes", "small", "tiny"]


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_training_configuration(name: str) -> None:
    config = read_toml(TrainConfig, FOLDER / f"{name}.toml")
    buckets = make_buckets(config.data.bucket_frames, config.data.batch_frames)
    assert all(bucket.size >= 4 for bucket in buckets)
    assert config.schedule.warmup_steps < config.schedule.steps
    assert config.loss.transducer_after < config.schedule.steps or name == "tiny"


@pytest.mark.parametrize(("name", "millions"), [("phonemes", 3.1), ("small", 10.7), ("base", 30), ("large", 110)])
def test_each_is_as_large_as_its_first_line_says(name: str, millions: float) -> None:
    path = FOLDER / f"{name}.toml"
    said = re.match(r"# ([\d.]+)M parameters", path.read_text())
    assert said is not None and float(said[1]) == millions
    model = Transducer(read_toml(TrainConfig, path).model)
    assert sum(math.prod(v.shape) for v in model.trainable_variables) / 1e6 == pytest.approx(millions, rel=0.02)


def test_small_has_the_default_sizes() -> None:
    model = read_toml(TrainConfig, FOLDER / "small.toml").model
    assert dataclasses.replace(model, label_noise=0.0) == ModelConfig()
