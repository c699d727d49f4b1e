from collections.abc import Callable
from pathlib import Path

import pytest

from data.corpora.ljspeech import read_ljspeech
from data.corpora.reading import CorpusError
from data.manifest import Utterance


@pytest.fixture
def corpus(tmp_path: Path, record: Callable[..., Path]) -> Path:
    record("wavs/LJ001-0001.wav", rate=22_050)
    record("wavs/LJ001-0002.wav", rate=22_050)
    lines = 'LJ001-0001|In 1465, "so|In fourteen sixty-five, "so\nLJ001-0002|Second.|\n'
    (tmp_path / "metadata.csv").write_text(lines)
    return tmp_path


def test_reads_the_text_with_numbers_written_out(corpus: Path) -> None:
    first, second = read_ljspeech(corpus)
    assert first == Utterance(
        "LJ001-0001",
        str(corpus / "wavs/LJ001-0001.wav"),
        0.5,
        "lj",
        "in fourteen sixty five so",
        "train",
        raw='In fourteen sixty-five, "so',
    )
    assert second.text == "second"


def test_split_is_a_name(corpus: Path) -> None:
    assert {u.split for u in read_ljspeech(corpus, ["dev"])} == {"dev"}
    with pytest.raises(CorpusError, match=r"LJSpeech has no parts: expected one split's name, got a, b"):
        list(read_ljspeech(corpus, ["a", "b"]))


def test_broken_line(corpus: Path) -> None:
    (corpus / "metadata.csv").write_text("LJ001-0001|a|b\nLJ001-0002\n")
    with pytest.raises(CorpusError, match=r"metadata.csv:2: expected 'ID\|TEXT\|NORMALISED TEXT', got"):
        list(read_ljspeech(corpus))


def test_missing_recording(corpus: Path) -> None:
    (corpus / "wavs/LJ001-0001.wav").unlink()
    reasons: list[str] = []
    assert [u.id for u in read_ljspeech(corpus, skip=reasons.append)] == ["LJ001-0002"]
    assert "metadata.csv:1: " in reasons[0]
