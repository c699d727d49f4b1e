from collections.abc import Callable
from pathlib import Path

import pytest

from data.corpora.librispeech import read_librispeech
from data.corpora.reading import CorpusError
from data.manifest import Utterance


@pytest.fixture
def corpus(tmp_path: Path, record: Callable[..., Path]) -> Path:
    for part, speaker in (("dev-clean", "84"), ("train-clean-5", "1088")):
        chapter = f"{part}/{speaker}/7"
        for i in range(2):
            record(f"{chapter}/{speaker}-7-000{i}.flac", seconds=0.5 + i)
        lines = f"{speaker}-7-0000 IT'S THE FIRST\n{speaker}-7-0001 AND THE SECOND\n"
        (tmp_path / chapter / f"{speaker}-7.trans.txt").write_text(lines)
    (tmp_path / "SPEAKERS.TXT").touch()
    return tmp_path


def test_all_parts(corpus: Path) -> None:
    utterances = list(read_librispeech(corpus))
    assert [(u.id, u.split) for u in utterances] == [
        ("84-7-0000", "dev-clean"),
        ("84-7-0001", "dev-clean"),
        ("1088-7-0000", "train-clean-5"),
        ("1088-7-0001", "train-clean-5"),
    ]
    audio = str(corpus / "dev-clean/84/7/84-7-0001.flac")
    assert utterances[1] == Utterance(
        "84-7-0001", audio, 1.5, "ls-84", "and the second", "dev-clean", raw="AND THE SECOND"
    )


def test_some_parts(corpus: Path) -> None:
    assert {u.split for u in read_librispeech(corpus, ["dev-clean"])} == {"dev-clean"}
    assert {u.split for u in read_librispeech(corpus / "dev-clean")} == {"dev-clean"}
    with pytest.raises(CorpusError, match=r"expected the part 'test-other', found dev-clean, train-clean-5"):
        list(read_librispeech(corpus, ["test-other"]))


def test_missing_recording(corpus: Path) -> None:
    (corpus / "dev-clean/84/7/84-7-0000.flac").unlink()
    with pytest.raises(CorpusError, match=r"84-7.trans.txt:1: .*84-7-0000.flac: no such file"):
        list(read_librispeech(corpus))
    reasons: list[str] = []
    assert len(list(read_librispeech(corpus, skip=reasons.append))) == 3
    assert len(reasons) == 1


@pytest.mark.parametrize("line", ["84-7-0000", "85-7-0000 TEXT"])
def test_broken_line(corpus: Path, line: str) -> None:
    (corpus / "dev-clean/84/7/84-7.trans.txt").write_text(f"84-7-0001 FINE\n{line}\n")
    with pytest.raises(CorpusError, match=r"84-7.trans.txt:2: expected '84-CHAPTER-NUMBER TEXT', got"):
        list(read_librispeech(corpus))
