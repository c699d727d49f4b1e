from collections.abc import Callable
from pathlib import Path

import pytest

from data.corpora.folder import read_folder
from data.corpora.reading import CorpusError
from data.manifest import Utterance


def test_recordings_with_their_texts(tmp_path: Path, record: Callable[..., Path]) -> None:
    record("anna/one.flac")
    record("two.WAV", seconds=0.25)
    (tmp_path / "anna/one.txt").write_text("The first,\nin two lines.\n")
    (tmp_path / "two.txt").write_text("The second.")
    (tmp_path / "notes.txt").write_text("not a transcript")
    one, two = read_folder(tmp_path, ["dev"])
    assert one == Utterance(
        "anna/one",
        str(tmp_path / "anna/one.flac"),
        0.5,
        "anna",
        "the first in two lines",
        "dev",
        raw="The first, in two lines.",
    )
    assert (two.id, two.speaker, two.seconds) == ("two", "two", 0.25)


def test_a_recording_without_text_is_skipped(tmp_path: Path, record: Callable[..., Path]) -> None:
    record("a.wav")
    record("b.wav")
    (tmp_path / "a.txt").write_text("Fine")
    reasons: list[str] = []
    assert [u.id for u in read_folder(tmp_path, skip=reasons.append)] == ["a"]
    assert reasons == [f"{tmp_path / 'b.wav'}: no b.txt beside it"]


def test_table(tmp_path: Path, record: Callable[..., Path]) -> None:
    record("x/a.wav")
    record("b.wav")
    (tmp_path / "transcripts.tsv").write_text("x/a.wav\tHello\tanna\n\nb.wav\tBye\n")
    assert [(u.id, u.speaker, u.text) for u in read_folder(tmp_path)] == [
        ("x/a", "anna", "hello"),
        ("b", "b", "bye"),
    ]


def test_broken_table(tmp_path: Path) -> None:
    for line in ("a.wav", "\ttext", "a\tb\tc\td"):
        (tmp_path / "transcripts.tsv").write_text(f"\n{line}\n")
        with pytest.raises(CorpusError, match=r"transcripts.tsv:2: expected 'AUDIO<tab>TEXT\[<tab>SPEAKER\]', got"):
            list(read_folder(tmp_path))


def test_recordings_without_any_text(tmp_path: Path, record: Callable[..., Path]) -> None:
    record("a.wav")
    with pytest.raises(CorpusError, match=r"expected recordings with a .txt .*; found 1 recordings without"):
        list(read_folder(tmp_path))
