"""Spoilt audio: repeatable, at the ratio asked for; utterances joined without a gap."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.evaluation.conditions import SNRS_DB, joined, joined_samples, joined_utterance, spoilt
from data.manifest import Utterance


@pytest.fixture
def noises() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [rng.normal(0.0, scale, 20_000).astype(np.float32) for scale in (0.02, 0.2)]


def test_every_condition_is_the_same_at_each_call(make_audio: Callable, noises: list[np.ndarray]) -> None:
    samples = make_audio(1.0)
    first, second = ({k: c("u1", samples) for k, c in spoilt(noises).items()} for _ in range(2))
    assert list(first) == [
        "noise 20 dB", "noise 10 dB", "noise 5 dB", "8 kHz µ-law", "MP3 32 kbit/s", "speed 0.9", "speed 1.1",
    ]  # fmt: skip
    for name, found in first.items():
        np.testing.assert_array_equal(found, second[name])
        assert not np.array_equal(found, samples)
    assert [len(first[name]) for name in ("MP3 32 kbit/s", "speed 0.9", "speed 1.1")] == [16_000, 17_778, 14_545]


def test_noise_has_the_ratio_of_its_name_and_another_place_for_each_utterance(noises: list[np.ndarray]) -> None:
    samples = (0.1 * np.sin(np.arange(16_000) / 5)).astype(np.float32)
    for snr in SNRS_DB:
        condition = spoilt(noises)[f"noise {snr} dB"]
        added = condition("u1", samples) - samples
        assert 10 * np.log10(np.mean(samples**2) / np.mean(added**2)) == pytest.approx(snr, abs=0.01)
        assert not np.allclose(added, condition("u2", samples) - samples, atol=1e-3)


def test_without_noises_there_are_no_conditions_with_noise() -> None:
    assert not [name for name in spoilt() if "noise" in name]


def test_utterances_are_joined_in_order(tmp_path: Path, make_audio: Callable) -> None:
    utterances = []
    for i, seconds in enumerate((3.0, 4.0, 5.0, 1.0)):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, make_audio(seconds, i), 16_000, subtype="FLOAT")
        utterances.append(Utterance(f"u{i}", str(path), seconds, "ann", f"word {i}", "dev"))
    groups = joined(utterances, 6.0)
    assert [[u.id for u in group] for group in groups] == [["u0", "u1"], ["u2", "u3"]]
    whole = joined_utterance(groups[0])
    assert (whole.text, whole.seconds, whole.split) == ("word 0 word 1", 7.0, "dev")
    np.testing.assert_array_equal(joined_samples(groups[0]), np.concatenate([make_audio(3.0, 0), make_audio(4.0, 1)]))
