from pathlib import Path

import pytest

from data.corpora.readers import READERS
from data.corpora.reading import CorpusError, numbered_lines, refuse


@pytest.mark.parametrize("name", READERS)
def test_every_reader_refuses_what_is_no_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match=r"gone: expected a folder, got nothing there"):
        list(READERS[name](tmp_path / "gone"))
    with pytest.raises(CorpusError, match=r"file: expected a folder, got a file"):
        list(READERS[name](tmp_path / "file"))


@pytest.mark.parametrize("name", READERS)
def test_every_reader_says_what_an_empty_folder_lacks(tmp_path: Path, name: str) -> None:
    with pytest.raises(CorpusError, match=rf"{tmp_path}: expected .*(txt|tsv|csv)"):
        list(READERS[name](tmp_path))


def test_lines_are_numbered_without_the_blank(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes("\ufeffone\r\n\n  \ntwo\u2028three\n".encode())
    assert list(numbered_lines(path)) == [(f"{path}:1", "one"), (f"{path}:4", "two\u2028three")]


def test_unreadable_lines(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    with pytest.raises(CorpusError, match=r"latin.txt: expected UTF-8, got byte 0xe9"):
        list(numbered_lines(tmp_path / "latin.txt"))
    with pytest.raises(CorpusError, match=r"gone.txt: cannot read it: No such file"):
        list(numbered_lines(tmp_path / "gone.txt"))


def test_refuse_raises() -> None:
    with pytest.raises(CorpusError, match="the reason"):
        refuse("the reason")
