"""Augmented copies of recordings: what is made, that it repeats, and that a second run goes on."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data.audio import AudioError, load_audio
from data.augment import AugmentConfig
from data.copies import CopyConfig, make_copies
from data.manifest import Utterance, read_manifest

NOTHING = AugmentConfig((1.0,), gain_probability=0, reverb_probability=0, noise_probability=0, codec_probability=0)


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    rng = np.random.default_rng(0)
    found = []
    for i, split in enumerate(("train", "train", "dev")):
        path = tmp_path / f"{i}.wav"
        soundfile.write(path, 0.1 * rng.normal(size=8000 + 800 * i), 16_000)
        found.append(Utterance(f"a/{i}", str(path), 0.5 + 0.05 * i, "ann", f"text {'abc'[i]}", split, raw="Text."))
    return found


def files(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.flac")}


def test_the_manifest_has_everything_and_the_copies(utterances: list[Utterance], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    made = make_copies(utterances, tmp_path / "out", CopyConfig(copies=2), progress=lambda *counts: seen.append(counts))
    found = read_manifest(tmp_path / "out" / "manifest.jsonl")
    assert (made, seen[-1]) == (4, (4, 4))
    assert found[:3] == utterances
    assert [u.id for u in found[3:]] == ["a/0-augmented-1", "a/1-augmented-1", "a/0-augmented-2", "a/1-augmented-2"]
    for copy, original in zip(found[3:], 2 * utterances[:2], strict=True):
        assert (copy.speaker, copy.text, copy.raw) == (original.speaker, original.text, original.raw)
        assert copy.split == "train-augmented"
        samples = load_audio(copy.audio)
        assert len(samples) / 16_000 == pytest.approx(copy.seconds, abs=1e-3)
        assert copy.seconds == pytest.approx(original.seconds, rel=0.12)  # speeds of 0.9 to 1.1
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_effects_are_those_asked_for(utterances: list[Utterance], tmp_path: Path) -> None:
    slow = dataclasses.replace(NOTHING, speeds=(0.8,))
    noisy = dataclasses.replace(NOTHING, noise_probability=1.0, noise_snr_db=(0.0, 0.0))
    noise = np.random.default_rng(1).normal(size=4000).astype(np.float32)
    for name, effects in (("nothing", NOTHING), ("slow", slow), ("noisy", noisy)):
        make_copies(utterances, tmp_path / name, CopyConfig(effects=effects), [noise])
    plain, slowed, mixed = (
        load_audio(read_manifest(tmp_path / name / "manifest.jsonl")[3].audio) for name in ("nothing", "slow", "noisy")
    )
    original = load_audio(utterances[0].audio)
    np.testing.assert_allclose(plain, original, atol=2**-15)
    assert len(slowed) == 10_000
    assert np.mean(mixed**2) == pytest.approx(2 * np.mean(original**2), rel=0.1)


def test_a_second_run_goes_on(utterances: list[Utterance], tmp_path: Path) -> None:
    """What is there stays, what is missing comes back the same, more copies are added."""
    out = tmp_path / "out"
    make_copies(utterances, out, CopyConfig())
    before = files(out)
    lost = next(iter(before))
    lost.unlink()
    make_copies(utterances, out, CopyConfig(copies=2), jobs=2)
    after = files(out)
    assert len(after) == 4
    assert after[lost][1] == before[lost][1]
    assert all(after[path] == contents for path, contents in before.items() if path != lost)
    make_copies(utterances, tmp_path / "other", CopyConfig(seed=2))
    assert not {contents for _, contents in files(tmp_path / "other").values()} & {c for _, c in after.values()}


@pytest.mark.parametrize("change", ["effects", "noise", "another noise", "recording", "transcript"])
def test_what_has_changed_is_copied_anew(utterances: list[Utterance], tmp_path: Path, change: str) -> None:
    """As if it were the first run; with other words alone, it is the copy that was there."""
    noisy = dataclasses.replace(NOTHING, noise_probability=1.0)
    noise = np.random.default_rng(1).normal(size=4000).astype(np.float32)
    make_copies(utterances, tmp_path / "out", CopyConfig(effects=noisy), [noise])
    before = [load_audio(u.audio) for u in read_manifest(tmp_path / "out" / "manifest.jsonl")[3:]]
    config, noises = CopyConfig(effects=noisy), [noise]
    if change == "effects":
        config = CopyConfig(effects=dataclasses.replace(noisy, noise_snr_db=(0.0, 0.0)))
    elif change == "recording":
        for utterance in utterances:
            soundfile.write(utterance.audio, 0.2 * np.ones(8000), 16_000)
    elif change == "transcript":
        utterances = [dataclasses.replace(u, text="other words") for u in utterances]
    else:
        noises = [noise[::-1].copy()] if change == "another noise" else []
    made = {}
    for name in ("out", "fresh"):
        make_copies(utterances, tmp_path / name, config, noises)
        made[name] = [load_audio(u.audio) for u in read_manifest(tmp_path / name / "manifest.jsonl")[3:]]
    for old, new, expected in zip(before, made["out"], made["fresh"], strict=True):
        np.testing.assert_array_equal(new, expected)
        assert np.array_equal(old, new) == (change == "transcript")


def test_copies_are_not_named_as_utterances_are(utterances: list[Utterance], tmp_path: Path) -> None:
    """As in the manifest of an earlier run; nothing is copied before that is found."""
    taken = dataclasses.replace(utterances[0], id="a/1-augmented-2", split="dev")
    with pytest.raises(ValueError, match="expected a manifest without copies of what is copied, got a/1-augmented-2"):
        make_copies([*utterances, taken], tmp_path / "out", CopyConfig(copies=2))
    assert not (tmp_path / "out").exists()
    assert make_copies([*utterances, taken], tmp_path / "out", CopyConfig()) == 2


def test_what_cannot_be_copied_is_an_error(utterances: list[Utterance], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected utterances of split test or tests, found none"):
        make_copies(utterances, tmp_path / "out", CopyConfig(("test", "tests")))
    with pytest.raises(ValueError, match="copies: expected a number above 0, got 0"):
        CopyConfig(copies=0)
    with pytest.raises(ValueError, match="splits: expected at least one name, got none"):
        CopyConfig(())
    Path(utterances[1].audio).write_text("no audio")
    with pytest.raises(AudioError, match=r"1\.wav: expected audio"):
        make_copies(utterances, tmp_path / "out", CopyConfig())
    assert not (tmp_path / "out" / "manifest.jsonl").exists()
