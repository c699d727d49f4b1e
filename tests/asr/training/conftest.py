"""A toy language: every letter is a tone, every word a few tones in a row."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import asr
from asr.config import from_dict
from asr.training.config import TrainConfig
from data.manifest import Utterance, write_manifest

RATE = 16_000
TONES_HZ = {"a": 300.0, "b": 700.0, "c": 1500.0, "d": 3200.0}
WORDS = ("ab", "ba", "cad", "dab", "cd", "bad")

# What of asr/configs/tiny.toml is otherwise: the toy language's wordpieces, one shape, a little of all that is random.
CHANGES: dict[str, Any] = {
    "model": {"vocabulary": 12, "dropout": 0.05},
    "data": {
        "bucket_frames": [128],
        "batch_frames": 2048,
        "texts": ["sentences.txt"],
        "text_rows": 8,
        "text_first_rows": 12,
    },
    "augment": {"gain_db": 6.0, "frequency_masks": 1, "frequency_width": 4},
    "loss": {"text": 0.2, "text_first_steps": 10},
    "schedule": {"checkpoint_steps": 130, "short_first_epochs": 0, "ema": 0.95},
}


def toy_values(**changes: dict[str, Any]) -> dict[str, Any]:
    """Tables of the toy configuration, some changed: `toy_values(schedule={"steps": 7})`."""
    tiny = read_tables(Path(asr.__file__).parent / "configs" / "tiny.toml")
    return {name: tiny[name] | CHANGES[name] | changes.get(name, {}) for name in CHANGES}


def read_tables(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


def toy_config(**changes: dict[str, Any]) -> TrainConfig:
    """The toy configuration with tables changed."""
    return from_dict(TrainConfig, toy_values(**changes))


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
    (folder / "sentences.txt").write_text("".join(f"{a} {b}\n" for a in WORDS for b in WORDS))
    return folder


@pytest.fixture(scope="session")
def make_config() -> Callable[..., TrainConfig]:
    return toy_config


@pytest.fixture(scope="session")
def write_config() -> Callable[..., Path]:
    """Writes the toy configuration, with tables changed, as TOML."""

    def write(path: Path, **changes: dict[str, Any]) -> Path:
        tables = toy_values(**changes)
        lines: list[str] = []
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
