"""The feature cache: decoded once, and again only for what has changed."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data.cache import FeatureCache, build_cache, open_cache, write_cache
from data.manifest import Utterance

Build = Callable[..., FeatureCache]


def featurise(path: Path) -> np.ndarray:
    """A frame for each byte, [bytes, 2]."""
    values = np.frombuffer(path.read_bytes(), np.uint8).astype(np.float32)
    return np.stack([values, -values], axis=1)


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    found = []
    for name, contents in (("a", b"abc"), ("b", b"z"), ("c", b"hello")):
        (tmp_path / name).write_bytes(contents)
        found.append(Utterance(name, str(tmp_path / name), 1.0, "ann", name, "train"))
    return found


@pytest.fixture
def decoded() -> list[str]:
    """Names of the files that were decoded."""
    return []


@pytest.fixture
def build(tmp_path: Path, decoded: list[str]) -> Build:
    def run(utterances: list[Utterance], settings: str = "bytes", **changes: object) -> FeatureCache:
        def noting(path: Path) -> np.ndarray:
            decoded.append(path.name)
            return featurise(path)

        options = {"bins": 2, "jobs": 1} | changes
        return build_cache(utterances, tmp_path / "cache", noting, settings, **options)

    return run


def test_frames_come_back_in_half_precision(utterances: list[Utterance], build: Build) -> None:
    cache = build(utterances)
    for utterance in utterances:
        frames = cache[utterance.id]
        assert frames.dtype == np.float32
        np.testing.assert_array_equal(frames, featurise(Path(utterance.audio)))
    with pytest.raises(KeyError):
        cache["d"]


def test_processes_side_by_side_give_the_same(utterances: list[Utterance], tmp_path: Path, build: Build) -> None:
    seen: list[tuple[int, int]] = []
    options = {"bins": 2, "jobs": 2, "progress": lambda done, total: seen.append((done, total))}
    cache = build_cache(utterances, tmp_path / "other", featurise, "bytes", **options)
    np.testing.assert_array_equal(cache.frames, build(utterances).frames)
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_nothing_is_decoded_twice(utterances: list[Utterance], build: Build, decoded: list[str]) -> None:
    build(utterances)
    build(utterances[:2])
    assert decoded == ["a", "b", "c"]


@pytest.mark.parametrize("what", ["settings", "another", "length", "time"])
def test_what_has_changed_is_decoded_again(
    utterances: list[Utterance], build: Build, decoded: list[str], tmp_path: Path, what: str
) -> None:
    build(utterances[:2])
    changed, settings = utterances[:2], "bytes"
    if what == "settings":
        settings = "other bytes"
    elif what == "another":
        changed = utterances[1:]
    elif what == "length":
        (tmp_path / "b").write_bytes(b"zz")
    else:
        (tmp_path / "b").write_bytes(b"y")
        os.utime(tmp_path / "b", ns=(1, 1))
    cache = build(changed, settings)
    assert decoded == ["a", "b", *(u.id for u in changed)]
    for utterance in changed:
        np.testing.assert_array_equal(cache[utterance.id], featurise(Path(utterance.audio)))
    assert len(list((tmp_path / "cache").glob("frames-*"))) == 1  # the old frames are gone


def test_frames_of_another_width_are_an_error(utterances: list[Utterance], build: Build, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a: expected frames of shape \[t, 3\], got \[3, 2\]"):
        build(utterances, bins=3)
    assert open_cache(tmp_path / "cache", "bytes") is None


def test_a_rebuild_that_fails_leaves_what_was_there(utterances: list[Utterance], build: Build, tmp_path: Path) -> None:
    """Bit for bit, and nothing of its own, though it has the process id of the first."""
    build(utterances)
    before = {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()}
    with pytest.raises(ValueError, match="b: expected frames of shape"):
        features = [np.ones((9, 2), np.float16), np.ones((9, 3), np.float16)]
        write_cache(utterances[:2], features, tmp_path / "cache", "bytes", bins=2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()} == before
    np.testing.assert_array_equal(build(utterances)["c"], featurise(tmp_path / "c"))


@pytest.mark.parametrize("length", [None, 0, 8, 40])
def test_frames_that_are_gone_or_of_another_length_are_made_anew(
    utterances: list[Utterance], build: Build, decoded: list[str], tmp_path: Path, length: int | None
) -> None:
    build(utterances)
    (frames,) = (tmp_path / "cache").glob("frames-*")  # of 9 x 2 x 2 bytes
    frames.unlink()
    if length is not None:
        frames.write_bytes(bytes(length))
    assert open_cache(tmp_path / "cache", "bytes") is None
    np.testing.assert_array_equal(build(utterances)["c"], featurise(tmp_path / "c"))
    assert decoded == 2 * ["a", "b", "c"]


@pytest.mark.parametrize("contents", ["{", '{"settings": "bytes", "bins": 2, "file": "frames-1.f16", "spans": {}}'])
def test_an_index_that_is_broken_or_of_before_is_made_anew(
    utterances: list[Utterance], build: Build, tmp_path: Path, contents: str
) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "index.json").write_text(contents)
    assert open_cache(tmp_path / "cache", "bytes") is None
    np.testing.assert_array_equal(build(utterances)["b"], featurise(tmp_path / "b"))
