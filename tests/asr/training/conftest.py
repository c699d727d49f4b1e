"""A toy language: every letter is a tone, every word a few tones in a row."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from asr.config import from_dict
from asr.training.config import TrainConfig
from data.manifest import Utterance, write_manifest

RATE = 16_000
TONES_HZ = {"a": 300.0, "b": 700.0, "c": 1500.0, "d": 3200.0}
WORDS = ("ab", "ba", "cad", "dab", "cd", "bad")

TOY: dict[str, Any] = {
    "model": {
        "dim": 32,
        "heads": 2,
        "lower_layers": 1,
        "upper_layers": 1,
        "channels": 4,
        "left_frames": 8,
        "lookback_frames": 4,
        "predictor_dim": 32,
        "joint_dim": 32,
        "vocabulary": 12,
        "dropout": 0.05,
    },
    "data": {"bucket_frames": [128], "batch_frames": 2048, "jobs": 1},
    "augment": {
        "speeds": [1.0],
        "warp": 0.0,
        "gain_db": 6.0,
        "noise_probability": 0.0,
        "frequency_masks": 1,
        "frequency_width": 4,
        "time_masks": 0,
    },
    "loss": {"transducer_after": 0, "characters": 0.5, "pieces": 0.5, "prior_steps": 80, "guide_steps": 80},
    "schedule": {
        "steps": 4,
        "peak_rate": 5e-3,
        "warmup_steps": 20,
        "chunks": [8],
        "chunk_weights": [1.0],
        "short_first_epochs": 0,
        "checkpoint_steps": 2,
        "evaluate_steps": 1000,
        "log_steps": 2,
        "ema": 0.95,
        "mixed_precision": False,
    },
}


def toy_config(**changes: dict[str, Any]) -> TrainConfig:
    """The toy configuration with tables changed: `toy_config(schedule={"steps": 7})`."""
    return from_dict(TrainConfig, {name: table | changes.get(name, {}) for name, table in TOY.items()})


def say(text: str, rng: np.random.Generator) -> np.ndarray:
    """Tones of 100 ms for letters, silence of 80 ms for spaces, faint noise throughout: float32 samples."""
    parts = []
    for letter in text:
        seconds = np.arange(RATE // 10) / RATE
        tone = 0.2 * np.sin(2 * np.pi * TONES_HZ.get(letter, 0.0) * seconds) * np.hanning(len(seconds))
        parts.append(tone if letter != " " else np.zeros(RATE * 8 // 100))
    samples = np.concatenate([np.zeros(RATE // 20), *parts, np.zeros(RATE // 20)])
    return (samples + 0.005 * rng.normal(size=len(samples))).astype(np.float32)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with manifest.jsonl: 120 training utterances, 30 of them synthetic, and 16 of dev."""
    folder = tmp_path_factory.mktemp("toy")
    rng = np.random.default_rng(0)
    utterances = []
    for i in range(136):
        text = " ".join(rng.choice(WORDS, size=int(rng.integers(1, 4))))
        samples = say(text, rng)
        path = folder / f"{i}.wav"
        soundfile.write(path, samples, RATE, subtype="PCM_16")
        split, speaker = ("train", "synth-x" if i < 30 else "ann") if i < 120 else ("dev", "bob")
        utterances.append(Utterance(f"u{i}", str(path), len(samples) / RATE, speaker, text, split))
    write_manifest(folder / "manifest.jsonl", utterances)
    return folder


@pytest.fixture(scope="session")
def make_config() -> Callable[..., TrainConfig]:
    return toy_config
