import json
from pathlib import Path

import pytest

from client.bench.references import Recording, recordings
from client.errors import AudioFileError

SAMPLES = Path(__file__).parents[3] / "data" / "samples"


def test_references_beside_the_files(tmp_path: Path) -> None:
    found = recordings([SAMPLES / "422-122949-0033.mp3", tmp_path / "other.wav", SAMPLES / "README.md"])
    assert found[0].reference is not None
    assert found[0].reference.startswith("i do not know he said")
    assert found[1:] == [Recording(tmp_path / "other.wav", None), Recording(SAMPLES / "README.md", None)]


def test_a_manifest_stands_for_its_recordings() -> None:
    found = recordings([SAMPLES / "manifest.jsonl"])
    assert len(found) == len((SAMPLES / "manifest.jsonl").read_text().splitlines())
    assert all(r.path.is_file() and r.reference for r in found)


@pytest.mark.parametrize("line", ["no json", json.dumps({"audio": "a.wav"}), "[]"])
def test_a_manifest_that_is_none(tmp_path: Path, line: str) -> None:
    good = json.dumps({"audio": "a.wav", "text": "one", "more": 1})
    (tmp_path / "x.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(AudioFileError, match=r"x\.jsonl:2: expected a recording"):
        recordings([tmp_path / "x.jsonl"])


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="expected a manifest, got: No such file"):
        recordings([tmp_path / "x.jsonl"])
