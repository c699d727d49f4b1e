"""Sentences for the text loss: every one once each time through, the same batch for the same step."""

import lzma
from pathlib import Path

import numpy as np
import pytest

from asr.errors import ConfigError
from asr.tokenizer import Tokenizer, train_tokenizer
from asr.training.text import TextBatches, sentences

TEXTS = ["a cab", "bad dab", "dab", "a bad cab", "cab cab cab", "b", "abba"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(TEXTS * 20, 12)


def rows(batches: TextBatches, steps: range, count: int) -> list[tuple[int, ...]]:
    found = []
    for step in steps:
        batch = batches.at(step, count)
        assert batch["text"].shape == (count, 30) and batch["text_lengths"].shape == (count,)
        for row, length in zip(batch["text"], batch["text_lengths"], strict=True):
            assert not row[length:].any()
            found.append(tuple(int(x) for x in row[:length]))
    return found


def test_every_sentence_comes_once_each_time_through(tokenizer: Tokenizer) -> None:
    found = rows(TextBatches(TEXTS, tokenizer, 30, seed=1), range(21), 2)  # 42 rows: six times through
    expected = sorted(tuple(tokenizer.encode(text)) for text in TEXTS)
    times = [found[i : i + 7] for i in range(0, 42, 7)]
    assert all(sorted(time) == expected for time in times)
    assert len({tuple(time) for time in times}) > 3  # in other orders


def test_a_step_gives_the_same_batch_whatever_came_before(tokenizer: Tokenizer) -> None:
    whole = rows(TextBatches(TEXTS, tokenizer, 30, seed=1), range(12), 3)
    assert rows(TextBatches(TEXTS, tokenizer, 30, seed=1), range(7, 12), 3) == whole[21:]
    assert rows(TextBatches(TEXTS, tokenizer, 30, seed=2), range(12), 3) != whole


def test_long_sentences_are_cut_and_empty_ones_left_out(tokenizer: Tokenizer) -> None:
    batch = TextBatches(["", "cab bad dab"], tokenizer, 3, seed=1).at(0, 2)
    assert batch["text"].tolist() == [tokenizer.encode("cab bad dab")[:3]] * 2
    assert batch["text_lengths"].tolist() == [3, 3]


def test_without_sentences_there_is_no_text_loss(tokenizer: Tokenizer) -> None:
    with pytest.raises(ConfigError, match="expected sentences for the text loss, got none"):
        TextBatches([""], tokenizer, 3, seed=1)


def test_text_files_are_read_compressed_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n  two \n...\n")
    with lzma.open(tmp_path / "b.txt.xz", "wt") as file:
        file.write("three\n")
    assert [*sentences(tmp_path / "a.txt"), *sentences(tmp_path / "b.txt.xz")] == ["one", "two", "three"]


def test_sentences_are_spelt_as_transcripts_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever people wrote; what has no reading is left out, and said to be."""
    (tmp_path / "a.txt").write_text("Mr. Fox, 'tis 3 o'clock!\nαβγ δε\nend\nあ\n", encoding="utf-8")
    assert list(sentences(tmp_path / "a.txt")) == ["mister fox tis three o'clock", "end"]
    assert "a.txt: left out 2 lines with letters that have no reading: 'αβγ δε'" in caplog.text


@pytest.mark.parametrize(("name", "content"), [("a.txt.xz", b"plain"), ("a.txt", b"\xff\xfe"), ("a.txt", None)])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=rf"{name}: expected text in UTF-8, a sentence a line"):
        list(sentences(tmp_path / name))


def test_batches_are_small_whole_numbers(tokenizer: Tokenizer) -> None:
    assert TextBatches(TEXTS, tokenizer, 30, seed=1).at(0, 2)["text"].dtype == np.int32
