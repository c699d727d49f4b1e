"""What the phoneme head says of a text, by a list of pronunciations."""

import json
from pathlib import Path

import pytest

from asr.errors import AsrError, ConfigError
from asr.training.pronunciations import Pronunciations, read_pronunciations
from data.pronounce import write_pronunciations

SAID = {"though": [["ð", "oʊ"]], "the": [["ð", "ə"], ["ð", "i"]], "toe": [["t", "oʊ"]]}


def test_phonemes_are_numbered_and_nothing_is_between_words() -> None:
    found = Pronunciations(SAID)
    assert found.symbols == ["i", "oʊ", "t", "ð", "ə"]  # those of other pronunciations, too
    assert len(found) == 5
    assert found.encode("the toe though") == [3, 4, 2, 1, 3, 1]
    assert found.encode("") == []
    assert found.written([3, 4, 2]) == "ð ə t"
    assert found.reference("the toe") == "ð ə t oʊ"


def test_a_word_without_a_pronunciation_is_named() -> None:
    with pytest.raises(AsrError, match="expected a pronunciation of every word, found none of 'tow'"):
        Pronunciations(SAID).encode("the tow")


def test_pronunciations_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    write_pronunciations(path, SAID)
    found = read_pronunciations(path)
    assert found.symbols == Pronunciations(SAID).symbols
    assert found.reference("though the toe") == "ð oʊ ð ə t oʊ"
    assert len(path.read_text(encoding="utf-8").splitlines()) == 5  # a word a line
    assert json.loads(path.read_text(encoding="utf-8"))["toe"] == ["t", "oʊ"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the: \xff", "expected JSON"),
        (b"[1]", "expected an object of each word's list of phonemes"),
        (b"{}", "expected an object of each word's list of phonemes"),
        *(
            (json.dumps({"the": said}).encode(), "expected an object of each word's list of phonemes, or of several")
            for said in ("ðə", [], [[]], ["ð", " "], ["ð", 3], ["ð", ["ə"]], [["ð", "ə"], []], [[["ð"]]])
        ),
        (None, "No such file"),
    ],
)
def test_a_file_of_something_else(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_pronunciations(path)
