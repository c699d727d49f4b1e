"""What the lower CTC head says: characters, or phonemes by a list of pronunciations."""

import json
from pathlib import Path

import pytest

from asr.errors import AsrError, ConfigError
from asr.tokenizer import characters
from asr.training.spelling import Spelling, read_spelling
from data.pronounce import write_pronunciations

SAID = {"though": ["ð", "oʊ"], "the": ["ð", "ə"], "toe": ["t", "oʊ"]}


def test_characters_are_those_of_the_text() -> None:
    spelling = Spelling()
    assert len(spelling) == 28
    assert spelling.encode("the toe's") == characters("the toe's")
    assert spelling.written([0, *characters("the toe"), 0]) == "the toe"
    assert spelling.reference("the toe") == "the toe"
    assert spelling.encode("") == []


def test_phonemes_are_numbered_after_the_place_between_words() -> None:
    spelling = Spelling(SAID)
    assert spelling.symbols == (" ", "oʊ", "t", "ð", "ə")
    assert spelling.encode("the toe though") == [3, 4, 0, 2, 1, 0, 3, 1]
    assert spelling.word("though") == [3, 1]
    assert spelling.written([0, 3, 4, 0, 2]) == "ð ə t"
    assert spelling.reference("the toe") == "ð ə t oʊ"


def test_a_word_without_a_pronunciation_is_named() -> None:
    with pytest.raises(AsrError, match="expected a pronunciation of every word, found none of 'tow'"):
        Spelling(SAID).encode("the tow")


def test_pronunciations_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    write_pronunciations(path, SAID)
    assert read_spelling(path).pronunciations == SAID
    assert len(path.read_text(encoding="utf-8").splitlines()) == 5  # a word a line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"the: \xff", "expected JSON"),
        (b"[1]", "expected an object of each word's list of phonemes"),
        (b"{}", "expected an object of each word's list of phonemes"),
        (json.dumps({"the": "ðə"}).encode(), "expected an object of each word's list of phonemes"),
        (json.dumps({"the": ["ð", " "]}).encode(), "expected an object of each word's list of phonemes"),
        (json.dumps({"the": ["ð", 3]}).encode(), "expected an object of each word's list of phonemes"),
        (None, "No such file"),
    ],
)
def test_a_file_of_something_else(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "said.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_spelling(path)
