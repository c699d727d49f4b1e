"""A tiny transducer whose every weight matters, for the tests of the model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from asr.config import ModelConfig
from asr.model_folder import save_model
from asr.streaming.recognizer import Recognizer
from asr.tokenizer import train_tokenizer
from asr.training.checkpoint import weights_of
from asr.transducer.model import Transducer

TINY = ModelConfig(
    dim=32,
    heads=2,
    lower_layers=1,
    upper_layers=2,
    channels=4,
    left_frames=8,
    lookback_frames=4,
    predictor_dim=24,
    joint_dim=32,
    vocabulary=11,
)


def randomise(layer: Any, seed: int) -> None:
    """Sets every weight by the seed alone: biases off zero and scales off one, so that none can be left out unseen."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        shape = tuple(weight.shape)
        if "float" not in keras.backend.standardize_dtype(weight.dtype):
            continue  # the states of random generators
        if len(shape) > 1:
            weight.assign(rng.normal(0.0, np.prod(shape[:-1]) ** -0.5, shape))
        else:
            weight.assign(np.asarray(weight) + rng.normal(0.0, 0.1, shape))


@pytest.fixture(autouse=True)
def precision() -> Iterator[None]:
    """Training sets Keras's precision for the whole process: it is put back after each test."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture(scope="session")
def tiny() -> ModelConfig:
    return TINY


@pytest.fixture(scope="session")
def randomised() -> Callable[[Any, int], None]:
    return randomise


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Transducer]:
    """Makes a tiny model from a seed; the same seed is the same object, not to be changed."""
    made: dict[int, Transducer] = {}

    def make(seed: int = 0) -> Transducer:
        if seed not in made:
            model = Transducer(TINY)
            randomise(model, seed)
            made[seed] = model
        return made[seed]

    return make


@pytest.fixture
def mel() -> Callable[..., np.ndarray]:
    """Frames like log-mel after normalisation: [B, T, 80] float32 by seed."""

    def make(batch: int, frames: int, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).normal(0.0, 1.0, (batch, frames, 80)).astype(np.float32)

    return make


SENTENCES = ("the cat sat on the mat", "a rat ate the hat then", "some tea is hot at noon", "she sat in the sea")


def _make_talkative(model: Transducer) -> None:
    """Random weights that emit arbitrary labels which vary with the sound: in some blocks none, in others several."""
    randomise(model, 0)
    model.encoder.mean.assign(np.full(80, -6.0))  # about what log-mel of speech has
    model.encoder.deviation.assign(np.full(80, 3.0))
    joint = model.joint
    for weight in (joint.key_value, joint.query, joint.context, joint.state, *model.predictor.weights):
        if len(weight.shape) > 1:
            weight.assign(8.0 * np.asarray(weight))
    joint.output_kernel.assign(10.0 * np.asarray(joint.output_kernel))
    bias = np.asarray(joint.output_bias).copy()
    bias[:2] -= 4.0, 1000.0  # end-of-block a little less often, the unknown symbol never
    joint.output_bias.assign(bias)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder of random weights that emits labels.

    To be read only; a test that damages a model does so to a copy.
    """
    config = ModelConfig(
        dim=32,
        heads=2,
        lower_layers=1,
        upper_layers=1,
        channels=4,
        left_frames=8,
        lookback_frames=4,
        predictor_dim=16,
        joint_dim=16,
        vocabulary=32,
    )
    model = Transducer(config)
    _make_talkative(model)
    folder = tmp_path_factory.mktemp("models") / "random"
    save_model(folder, config, train_tokenizer(SENTENCES * 3, 32), weights_of(model.variables), {"name": "random"})
    return folder


@pytest.fixture(scope="session")
def make_audio() -> Callable[..., np.ndarray]:
    """Sounds that change as speech does: [seconds x 16000] float32 by seed."""

    def make(seconds: float, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        count = round(seconds * 16_000)
        times = np.arange(count) / 16_000
        part = (times * 6).astype(int)  # six sounds a second
        tones = rng.uniform(80, 3500, (part.max(initial=0) + 1, 3))[part]  # [n, 3] Hz
        loudness = rng.choice([0.0, 0.02, 0.1, 0.3], part.max(initial=0) + 1)[part]
        sound = np.sin(2 * np.pi * tones * times[:, None]).sum(1) + rng.normal(0, 0.5, count)
        return (loudness * sound / 3 + rng.normal(0, 1e-3, count)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def recogniser(model_folder: Path) -> Callable[..., Recognizer]:
    """A compiled recogniser by chunk size, streams, silence and beam; all its streams are free."""
    made: dict[tuple[int, int, int], Recognizer] = {}

    def make(chunk_ms: int = 640, streams: int = 1, silence_ms: int = 800, beam: int = 1) -> Recognizer:
        key = chunk_ms, streams, beam
        if key not in made:
            made[key] = Recognizer(model_folder, chunk_ms, streams, beam=beam)
        made[key].silence_ms = silence_ms
        for stream in list(made[key]._rows):
            if stream is not None:  # of a test that failed
                made[key].release(stream)
        return made[key]

    return make
