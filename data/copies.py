"""Augmented copies of recordings on disk: what cannot be done to features, ahead of training.

Speed with its pitch, rooms, noise, gain and telephone lines act on samples (`data.augment`); training on cached
features has its own, cheaper effects at every epoch (`data.spectral`), and can have both. What is made depends on the
recordings, the configuration and the noises alone, and a copy's file is named by all of them: a run that was stopped
goes on where it was, and what has changed is made anew.
"""

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import soundfile

from data.audio import SAMPLE_RATE, audio_seconds, load_audio
from data.augment import AugmentConfig, Samples, augment
from data.manifest import Utterance, write_manifest

SUFFIX = "-augmented"  # of the copies' splits


@dataclass(frozen=True)
class CopyConfig:
    """How copies are made.

    Attributes:
        splits: Whose utterances are copied.
        copies: Of each utterance.
        seed: Of everything random.
        effects: Ranges and shares.
    """

    splits: tuple[str, ...] = ("train",)
    copies: int = 1
    seed: int = 1
    effects: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        """Checks the ranges."""
        if not self.splits:
            raise ValueError("splits: expected at least one name, got none")
        if self.copies < 1:
            raise ValueError(f"copies: expected a number above 0, got {self.copies}")


def make_copies(
    utterances: Sequence[Utterance],
    output: Path,
    config: CopyConfig,
    noises: Sequence[Samples] = (),
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Writes augmented copies into `output`/audio, and `output`/manifest.jsonl: the utterances, then the copies.

    The copies of split S are split S-augmented, their ids and texts those of the utterance, a number after the id.

    Args:
        utterances: All of the new manifest; those of the configuration's splits are copied.
        output: Folder, made if missing. Copies that are there are kept, those that no longer count, too.
        config: How many, and what is done to them.
        noises: Recordings of noise; without any, none is added.
        jobs: Threads.
        progress: Called with (done, total).

    Returns:
        Number of copies.

    Raises:
        ValueError: if there is nothing to copy, or an utterance has the id of a copy.
        AudioError: naming a recording that cannot be read.
        OSError: naming a recording that is missing.
    """
    chosen = [u for u in utterances if u.split in config.splits]
    if not chosen:
        raise ValueError(f"expected utterances of split {' or '.join(config.splits)}, found none")
    numbers = range(1, config.copies + 1)
    clashing = {u.id for u in utterances} & {_name(u, number) for u in chosen for number in numbers}
    if clashing:
        raise ValueError(f"expected a manifest without copies of what is copied, got {min(clashing)}")
    effects = sha256(repr(config.effects).encode())
    for noise in noises:
        effects.update(f"{len(noise)} ".encode() + noise.tobytes())
    copies: list[Utterance] = []
    with ThreadPoolExecutor(jobs) as pool:  # resampling, decoding and encoding leave the interpreter to the others
        for number in numbers:
            make = partial(
                _copy, output=output, config=config, noises=noises, number=number, effects=effects.hexdigest()
            )
            for copy in pool.map(make, chosen):
                copies.append(copy)
                progress(len(copies), config.copies * len(chosen))
    write_manifest(output / "manifest.jsonl", [*utterances, *copies])
    return len(copies)


def _name(utterance: Utterance, number: int) -> str:
    return f"{utterance.id}-augmented-{number}"


def _copy(
    utterance: Utterance,
    output: Path,
    config: CopyConfig,
    noises: Sequence[Samples],
    number: int,
    effects: str,
) -> Utterance:
    """One copy; `effects` is a digest of all that is done to it, the noises included."""
    name, source = _name(utterance, number), os.stat(utterance.audio)
    drawn = f"{config.seed} {name}"
    # Named by a digest: ids may hold what file names may not.
    file = sha256(f"{drawn} {source.st_size} {source.st_mtime_ns} {effects}".encode()).hexdigest()
    path = output / "audio" / file[:2] / f"{file[2:18]}.flac"
    if not path.exists():  # it is whole: it got its name when it was
        rng = np.random.default_rng(np.frombuffer(sha256(drawn.encode()).digest(), np.uint32))
        _write(path, augment(load_audio(utterance.audio), rng, config.effects, noises))
    seconds, split = round(audio_seconds(path), 3), f"{utterance.split}{SUFFIX}"
    return dataclasses.replace(utterance, id=name, audio=str(path), seconds=seconds, split=split)


def _write(path: Path, samples: Samples) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        soundfile.write(partial_path, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        partial_path.replace(path)
    finally:
        partial_path.unlink(missing_ok=True)
