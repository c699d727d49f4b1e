import json
import os
import stat
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from data.manifest import ManifestError, Utterance, read_manifest, scan_manifest, write_manifest

RECORD: dict[str, Any] = {
    "id": "a",
    "audio": "a.wav",
    "seconds": 1.5,
    "speaker": "s",
    "text": "hello",
    "split": "train",
}


def write_lines(folder: Path, *lines: dict[str, Any] | bytes, audio: bool = True) -> Path:
    for record in lines:
        if audio and isinstance(record, dict) and isinstance(record.get("audio"), str) and record["audio"]:
            (folder / record["audio"]).touch()
    path = folder / "manifest.jsonl"
    path.write_bytes(b"".join((json.dumps(x).encode() if isinstance(x, dict) else x) + b"\n" for x in lines))
    return path


def test_reads_what_is_there(tmp_path: Path) -> None:
    second = RECORD | {"id": "b", "text": None, "raw": "Hé!", "age": 7, "seconds": 2, "split": "dev"}
    path = write_lines(tmp_path, RECORD, second)
    audio = str(tmp_path / "a.wav")
    assert read_manifest(path) == [
        Utterance("a", audio, 1.5, "s", "hello", "train"),
        Utterance("b", audio, 2.0, "s", None, "dev", raw="Hé!", age=7),
    ]


def test_reads_the_splits_asked_for(tmp_path: Path) -> None:
    path = write_lines(tmp_path, RECORD, RECORD | {"id": "b", "split": "dev"})
    assert [u.id for u in read_manifest(str(path), splits=["dev"])] == ["b"]
    assert read_manifest(path, splits=["nothing"]) == []
    with pytest.raises(TypeError, match=r"splits: expected a collection of names, got the text 'dev'"):
        read_manifest(path, splits="dev")


def test_absolute_paths_and_urls_stay(tmp_path: Path) -> None:
    path = write_lines(tmp_path, RECORD | {"audio": "/a.wav"}, RECORD | {"id": "b", "audio": "s3://x/b"}, audio=False)
    assert [u.audio for u in read_manifest(path, check_audio=False)] == ["/a.wav", "s3://x/b"]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in RECORD.items() if key != name}


def broken() -> Iterator[tuple[dict[str, Any] | bytes, str]]:
    yield b'{"id": "a"', r"expected a JSON object: Expecting ',' delimiter at column 11"
    yield b"", r"expected a JSON object: Expecting value"
    yield b"[1, 2]", r"expected a JSON object, got \[1, 2\]"
    yield b'{"id": "\xff"}', r"expected UTF-8, got byte 0xff at column 9"
    yield b'{"id": "a", "id": "b"}', r"key 'id' stands twice"
    for name in RECORD:
        yield without(name), rf"missing key '{name}'"
    yield RECORD | {"sped": 1}, r"unknown key 'sped'; known: id, audio, seconds"
    for name in ("id", "audio", "speaker", "split"):
        yield RECORD | {name: ""}, rf"{name}: expected a text that is not empty, got ''"
        yield RECORD | {name: 3}, rf"{name}: expected a text that is not empty, got 3"
    for name in ("text", "raw"):
        yield RECORD | {name: ["x"]}, rf"{name}: expected a text or null, got \['x'\]"
    yield RECORD | {"seconds": "1"}, r"seconds: expected a number, got '1'"
    yield RECORD | {"seconds": True}, r"seconds: expected a number, got True"
    yield RECORD | {"seconds": 0}, r"seconds: expected a finite number above 0, got 0"
    yield RECORD | {"seconds": -1.5}, r"seconds: expected a finite number above 0, got -1.5"
    yield RECORD | {"seconds": float("nan")}, r"expected finite numbers, got NaN"
    yield RECORD | {"seconds": float("inf")}, r"expected finite numbers, got Infinity"
    for age in (-1, 3.5, True, "7"):
        yield RECORD | {"age": age}, r"age: expected years as a whole number or null, got"


@pytest.mark.parametrize(("line", "message"), list(broken()))
def test_errors_name_file_and_line(tmp_path: Path, line: dict[str, Any] | bytes, message: str) -> None:
    path = write_lines(tmp_path, RECORD | {"id": "first"}, line)
    with pytest.raises(ManifestError, match=rf"manifest.jsonl:2: {message}") as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}:2: ")


def test_repeated_id_names_both_lines(tmp_path: Path) -> None:
    path = write_lines(tmp_path, RECORD, RECORD | {"id": "b"}, RECORD | {"split": "dev"})
    with pytest.raises(ManifestError, match=r"manifest.jsonl:3: id 'a' is already in line 1"):
        read_manifest(path, splits=["train"])


def test_missing_audio(tmp_path: Path) -> None:
    path = write_lines(tmp_path, RECORD, RECORD | {"id": "b", "audio": "b.wav", "split": "dev"}, audio=False)
    (tmp_path / "a.wav").touch()
    with pytest.raises(ManifestError, match=r"manifest.jsonl:2: audio: no such file: .*b.wav"):
        read_manifest(path)
    assert [u.id for u in read_manifest(path, splits=["train"])] == ["a"]
    assert len(read_manifest(path, check_audio=False)) == 2


def test_unreadable_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone.jsonl: cannot read the manifest: No such file"):
        read_manifest(tmp_path / "gone.jsonl")
    with pytest.raises(ManifestError, match=r"cannot read the manifest: Is a directory"):
        read_manifest(tmp_path)


def test_scan_goes_on_after_an_error(tmp_path: Path) -> None:
    path = write_lines(tmp_path, b"{", RECORD, without("text"))
    found = list(scan_manifest(path))
    assert [number for number, _ in found] == [1, 2, 3]
    assert [type(result) for _, result in found] == [ManifestError, Utterance, ManifestError]


def test_utterance_is_frozen_and_knows_its_transcript() -> None:
    utterance = Utterance("a", "a.wav", 1.0, "s", "hello", "train")
    with pytest.raises(FrozenInstanceError):
        utterance.text = "x"  # type: ignore[misc]  # that is the test
    assert utterance.transcript == "hello"
    with pytest.raises(ValueError, match=r"utterance 'a': expected a transcript, got none"):
        replace(utterance, text=None).transcript  # noqa: B018 -- the access raises


def test_what_is_written_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("deep/a.wav", "b.wav"):
        (tmp_path / name).touch()
    utterances = [
        Utterance("a", str(tmp_path / "deep" / "a.wav"), 1.25, "s", "héllo", "train", raw="Héllo", age=30),
        Utterance("b", str(tmp_path / "b.wav"), 1.0, "s", None, "dev"),
    ]
    path = tmp_path / "deep" / "m.jsonl"
    assert write_manifest(path, iter(utterances)) == 2
    assert read_manifest(path) == utterances
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert first["audio"] == "a.wav"  # relative: below the manifest's folder
    assert second["audio"] == str(tmp_path / "b.wav")
    assert second["text"] is None
    assert "raw" not in second


def test_urls_are_written_as_they_are(tmp_path: Path) -> None:
    write_manifest(tmp_path / "m.jsonl", [Utterance("a", "s3://x/a.wav", 1.0, "s", "", "train")])
    assert json.loads((tmp_path / "m.jsonl").read_text())["audio"] == "s3://x/a.wav"


def test_writing_makes_the_folder_and_a_file_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "m.jsonl"
    write_manifest(path, [])
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert read_manifest(path) == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    utterance = Utterance("a", "a.wav", 1.0, "s", "x", "train")
    write_manifest(path, [utterance])
    before = path.read_bytes()

    def stopped() -> Iterator[Utterance]:
        yield utterance
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_manifest(path, stopped())
    with pytest.raises(ValueError, match=r"expected ids that differ, got 'a' twice"):
        write_manifest(path, [utterance, utterance])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
