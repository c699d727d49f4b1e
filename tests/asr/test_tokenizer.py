"""Wordpieces and characters: round trips, and errors that say what came."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AsrError, CheckpointError
from asr.tokenizer import CHARACTERS, Tokenizer, characters, read_tokenizer, train_tokenizer

SENTENCES = ["the quick brown fox jumps over the lazy dog", "don't sit in the sun", "pack my box with five dozen jugs"]
WORDS = st.lists(st.text("abcdefghijklmnopqrstuvwxyz'", min_size=1, max_size=8), max_size=6)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(SENTENCES * 3, 60)


def test_vocabulary_has_the_size_asked_for(tokenizer: Tokenizer) -> None:
    assert len(tokenizer) == len(tokenizer.texts) == len(set(tokenizer.texts)) == 60


@given(WORDS)
def test_texts_come_back(tokenizer: Tokenizer, words: list[str]) -> None:
    text = " ".join(words)
    pieces = tokenizer.encode(text)
    assert tokenizer.decode(pieces) == text
    assert all(0 < piece < 60 for piece in pieces)  # 0, the unknown symbol, is never needed


@given(WORDS)
def test_words_start_where_their_first_piece_says(tokenizer: Tokenizer, words: list[str]) -> None:
    assert sum(tokenizer.starts_word(piece) for piece in tokenizer.encode(" ".join(words))) == len(words)


def test_pieces_are_joined_without_the_space_before_the_first(tokenizer: Tokenizer) -> None:
    pieces = tokenizer.encode("the dog")
    assert tokenizer.decode(pieces) == "the dog"
    assert tokenizer.decode(pieces[1:]) in "the dog"
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("piece", [-1, 60])
def test_what_is_no_wordpiece_is_an_error(piece: int, tokenizer: Tokenizer) -> None:
    with pytest.raises(AsrError, match=f"expected wordpieces from 0 to 59, got {piece}"):
        tokenizer.decode([5, piece])


def test_same_sentences_give_the_same_model(tokenizer: Tokenizer) -> None:
    assert train_tokenizer(SENTENCES * 3, 60).texts == tokenizer.texts


@pytest.mark.parametrize("sentences", [[], ["ab ba"]])
def test_too_few_texts_are_an_error(sentences: list[str]) -> None:
    with pytest.raises(AsrError, match="vocabulary: expected as many pieces as the texts have, got 60"):
        train_tokenizer(sentences, 60)


def test_model_comes_back_from_its_file(tokenizer: Tokenizer, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(tokenizer.model)
    assert read_tokenizer(tmp_path / "tokenizer.model").texts == tokenizer.texts


@pytest.mark.parametrize("damage", [b"not a model", b"\0" * 100])
def test_damaged_model_is_an_error(damage: bytes) -> None:
    with pytest.raises(CheckpointError, match=f"expected a sentencepiece model, got {len(damage)}"):
        Tokenizer(damage)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"abcde")
    with pytest.raises(CheckpointError, match=r"tokenizer\.model: expected a sentencepiece model, got 5 other bytes"):
        read_tokenizer(tmp_path / "tokenizer.model")


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_cut_model_is_an_error(kept: int, tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes(tokenizer.model[:kept])
    with pytest.raises(CheckpointError, match="expected a sentencepiece model, got"):
        read_tokenizer(path)


def test_missing_model_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.model: No such file"):
        read_tokenizer(tmp_path / "tokenizer.model")


def test_characters_are_places_in_the_list() -> None:
    assert characters("") == []
    assert characters("a' z") == [2, 1, 0, 27]
    assert [CHARACTERS[i] for i in characters("don't stop")] == list("don't stop")
    assert len(CHARACTERS) == len(set(CHARACTERS)) == 28


@pytest.mark.parametrize(
    ("text", "bad"), [("Hello", "H"), ("naïve", "ï"), ("a-b", "-"), ("see 7", "7"), ("a\tb", "\\t")]
)
def test_other_characters_are_named(text: str, bad: str) -> None:
    with pytest.raises(AsrError, match="expected normalised text of a–z, apostrophe and space") as caught:
        characters(text)
    assert f"got '{bad}' in" in str(caught.value)
