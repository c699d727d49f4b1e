from collections.abc import Callable
from pathlib import Path

import pytest

from data.corpora.commonvoice import read_commonvoice
from data.corpora.reading import CorpusError
from data.manifest import Utterance

HEADER = "client_id\tpath\tsentence_id\tsentence\tup_votes\n"
CLIENT = "0123456789abcdef" * 8


def write_table(folder: Path, part: str, *rows: tuple[str, str]) -> None:
    lines = [f"{CLIENT}\t{path}\t9\t{sentence}\t2\n" for path, sentence in rows]
    (folder / f"{part}.tsv").write_text(HEADER + "".join(lines), encoding="utf-8")


@pytest.fixture
def corpus(tmp_path: Path, record: Callable[..., Path]) -> Path:
    for name in ("a", "b", "c"):
        record(f"clips/{name}.mp3", seconds=1.0, rate=32_000)
    write_table(tmp_path, "train", ("a.mp3", '"Don’t," he said.'), ("b", "In 1984."))
    write_table(tmp_path, "test", ("c.mp3", "Café?"))
    write_table(tmp_path, "validated", ("a.mp3", "Don't"), ("c.mp3", "Café?"))
    (tmp_path / "clip_durations.tsv").write_text("clip\tduration[ms]\na.mp3\t1000\n")
    return tmp_path


def test_the_three_parts_by_default(corpus: Path) -> None:
    utterances = list(read_commonvoice(corpus))
    assert [(u.id, u.split, u.text) for u in utterances] == [
        ("a", "train", "don't he said"),
        ("b", "train", "in nineteen eighty four"),
        ("c", "test", "cafe"),
    ]
    seconds = utterances[0].seconds
    assert seconds == pytest.approx(1.0, abs=0.08)
    assert utterances[0] == Utterance(
        "a",
        str(corpus / "clips/a.mp3"),
        seconds,
        "cv-0123456789abcdef",
        "don't he said",
        "train",
        raw='"Don’t," he said.',
    )


def test_a_part_by_name(corpus: Path) -> None:
    assert [(u.id, u.split) for u in read_commonvoice(corpus, ["validated"])] == [
        ("a", "validated"),
        ("c", "validated"),
    ]
    with pytest.raises(CorpusError, match=r"expected the part 'dev', found test, train, validated"):
        list(read_commonvoice(corpus, ["dev"]))


def test_a_clip_in_two_tables_counts_once(corpus: Path) -> None:
    reasons: list[str] = []
    utterances = list(read_commonvoice(corpus, ["train", "validated"], reasons.append))
    assert [u.id for u in utterances] == ["a", "b", "c"]
    assert len(reasons) == 1
    assert "validated.tsv:2: clip a.mp3 is already in a table before it" in reasons[0]


def test_unusable_sentences_are_skipped_with_their_reason(corpus: Path) -> None:
    write_table(corpus, "train", ("a.mp3", "Привет"), ("b.mp3", "…"), ("gone.mp3", "Gone"), ("c.mp3", "Fine"))
    reasons: list[str] = []
    assert [u.id for u in read_commonvoice(corpus, ["train"], reasons.append)] == ["c"]
    assert "train.tsv:2: expected letters a to z" in reasons[0]
    assert "train.tsv:3: expected a transcript with words, got '…'" in reasons[1]
    assert "train.tsv:4: " in reasons[2]
    assert "gone.mp3: no such file" in reasons[2]
    with pytest.raises(CorpusError, match=r"train.tsv:2: expected letters"):
        list(read_commonvoice(corpus, ["train"]))


def test_columns_are_checked(corpus: Path) -> None:
    (corpus / "train.tsv").write_text("client_id\tpath\ttext\n")
    with pytest.raises(CorpusError, match=r"train.tsv:1: expected a column 'sentence', got \['client_id'"):
        list(read_commonvoice(corpus))
    (corpus / "train.tsv").write_text(HEADER + "x\ta.mp3\n")
    with pytest.raises(CorpusError, match=r"train.tsv:2: expected 5 columns, got 2"):
        list(read_commonvoice(corpus))
    (corpus / "train.tsv").write_text("")
    with pytest.raises(CorpusError, match=r"train.tsv:1: expected a column 'client_id'"):
        list(read_commonvoice(corpus))


def test_no_clips(tmp_path: Path) -> None:
    write_table(tmp_path, "train", ("a.mp3", "Fine"))
    with pytest.raises(CorpusError, match=r"expected train.tsv, .* and clips/, .*; found train.tsv"):
        list(read_commonvoice(tmp_path))
