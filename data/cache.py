"""A cache of features on disk: decode a corpus once, then read any utterance's frames at memory speed.

One file of float16 frames for all utterances and one index beside it. The index names the features' settings, and each
utterance by its id with its audio file's size and time, so that a cache of other settings, of another corpus or of
recordings that have changed is rebuilt and never silently used.
"""

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.manifest import Utterance

Featurise = Callable[[Path], NDArray[np.float32]]  # audio file -> [t, bins]
Stamp = tuple[int, int]  # of a file: its size in bytes, and when it was modified, in nanoseconds


@dataclass(frozen=True)
class FeatureCache:
    """Frames of many utterances, memory-mapped.

    Attributes:
        frames: [total, bins] float16.
        spans: utterance id -> (first frame, number of frames).
        stamps: utterance id -> its audio file as it was when it was decoded.
    """

    frames: NDArray[np.float16]
    spans: dict[str, tuple[int, int]]
    stamps: dict[str, Stamp] = field(default_factory=dict)

    def __getitem__(self, utterance_id: str) -> NDArray[np.float32]:
        """Frames of one utterance, [t, bins] float32; raises KeyError for an unknown id."""
        start, count = self.spans[utterance_id]
        return np.asarray(self.frames[start : start + count], np.float32)

    def holds(self, utterance: Utterance) -> bool:
        """Whether the utterance is cached, and its recording is still the one that was decoded."""
        return self.stamps.get(utterance.id) == stamp(utterance.audio)


def open_cache(folder: Path, settings: str | None) -> FeatureCache | None:
    """The cache in a folder, or None if there is none made with these settings; settings of None: any will do.

    One whose frames are missing or of another length than the index says is none either.
    """
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    if not isinstance(index, dict) or "stamps" not in index or settings not in (None, index.get("settings")):
        return None
    spans, stamps = (
        {name: (first, second) for name, (first, second) in index[kind].items()} for kind in ("spans", "stamps")
    )
    path, total = folder / index["file"], max((start + count for start, count in spans.values()), default=0)
    if not path.is_file() or path.stat().st_size != total * index["bins"] * np.dtype(np.float16).itemsize:
        return None
    return FeatureCache(np.memmap(path, np.float16, "r").reshape(-1, index["bins"]), spans, stamps)


def build_cache(
    utterances: Sequence[Utterance],
    folder: Path,
    featurise: Featurise,
    settings: str,
    *,
    bins: int,
    jobs: int = 2,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureCache:
    """Opens the cache in `folder`, computing it first unless it holds every utterance as it is, with these settings.

    Args:
        utterances: What the cache must hold.
        folder: Where it lies; made if missing.
        featurise: Picklable function from an audio file to frames, [t, bins].
        settings: A text that names everything `featurise` depends on.
        bins: Features per frame.
        jobs: Worker processes.
        progress: Called with (done, total) as utterances are finished.

    Raises:
        ValueError: if `featurise` returns frames of another width, naming the file.
    """
    cache = open_cache(folder, settings)
    if cache is not None and all(cache.holds(u) for u in utterances):
        return cache
    return write_cache(
        utterances, featurised(utterances, featurise, jobs), folder, settings, bins=bins, progress=progress
    )


def write_cache(
    utterances: Sequence[Utterance],
    features: Iterable[NDArray[np.float16]],
    folder: Path,
    settings: str,
    *,
    bins: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FeatureCache:
    """Writes a cache of features that are computed one after the other, in place of what the folder held.

    What it held stays as it was until all of them are written.

    Args:
        utterances: What the cache will hold.
        features: Frames of each of them, [t, bins], in the same order.
        folder: Where it lies; made if missing.
        settings: A text that names everything the features depend on.
        bins: Features per frame.
        progress: Called with (done, total) as utterances are finished.

    Raises:
        ValueError: for frames of another width, naming the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"frames-{os.getpid()}-{time.time_ns()}.f16"  # of containers, all may have the same process id
    spans: dict[str, tuple[int, int]] = {}
    stamps = {u.id: stamp(u.audio) for u in utterances}  # before decoding: what changes meanwhile is decoded again
    total = 0
    try:
        with path.open("xb") as file:
            for utterance, frames in zip(utterances, features, strict=True):
                if frames.ndim != 2 or frames.shape[1] != bins:
                    expected, got = f"expected frames of shape [t, {bins}]", list(frames.shape)
                    raise ValueError(f"{utterance.audio}: {expected}, got {got}")
                file.write(frames.tobytes())
                spans[utterance.id] = (total, len(frames))
                total += len(frames)
                progress(len(spans), len(utterances))
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    index = {"settings": settings, "bins": bins, "file": path.name, "spans": spans, "stamps": stamps}
    _write_index(folder, index)
    cache = open_cache(folder, settings)
    assert cache is not None
    return cache


def stamp(path: str | os.PathLike[str]) -> Stamp:
    """Size and time of the last change of a file."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _write_index(folder: Path, index: dict[str, object]) -> None:
    temporary = folder / f"index.{os.getpid()}.tmp"
    temporary.write_text(json.dumps(index), encoding="utf-8")
    temporary.replace(folder / "index.json")  # the index appears only once the frames are whole
    for old in folder.glob("frames-*.f16"):
        if old.name != index["file"]:
            old.unlink()


@dataclass(frozen=True)
class _Half:
    """`featurise` with its result in half precision, to send less between processes."""

    featurise: Featurise

    def __call__(self, path: str) -> NDArray[np.float16]:
        return self.featurise(Path(path)).astype(np.float16)


def featurised(
    utterances: Sequence[Utterance], featurise: Featurise, jobs: int, start: str | None = None
) -> Iterable[NDArray[np.float16]]:
    """Frames of each utterance in half precision, by so many processes, started in this way of `multiprocessing`."""
    paths = [u.audio for u in utterances]
    if jobs <= 1:
        yield from map(_Half(featurise), paths)
        return
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context(start)) as pool:
        yield from pool.map(_Half(featurise), paths, chunksize=16)
