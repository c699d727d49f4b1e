"""Running text becomes sentences as transcripts are spelt, those of a test set left out; no file is half written."""

import lzma
from pathlib import Path

import pytest

from data import prose
from data.cli import main
from data.manifest import Utterance, write_manifest
from data.prose import Found, ProseError, write_sentences

PROSE = """Dr. Smith was born in St. Paul in 1960. He died on 3.5 acres of land!

Heading
The Москва river. Nobody knew the answer.
"""


def test_it_splits_and_normalises(tmp_path: Path) -> None:
    """Abbreviations and figures end no sentence; paragraphs do; short and unreadable ones are left out and counted."""
    (tmp_path / "prose.txt").write_text(PROSE, encoding="utf-8")
    found = write_sentences([tmp_path / "prose.txt"], tmp_path / "out.txt", {"nobody knew the answer"})
    assert (tmp_path / "out.txt").read_text().splitlines() == [
        "doctor smith was born in st paul in nineteen sixty",
        "he died on three point five acres of land",
    ]
    assert found == Found(kept=2, words=19, held_out=1, strange=1, short=1)


def test_packed_texts_are_read_and_written(tmp_path: Path) -> None:
    """Several texts make one file, packed by its name."""
    (tmp_path / "a.txt.xz").write_bytes(lzma.compress(b"One sentence is here. And here is another."))
    (tmp_path / "b.txt").write_text("The third of them.")
    found = write_sentences([tmp_path / "a.txt.xz", tmp_path / "b.txt"], tmp_path / "out.txt.xz")
    assert found == Found(kept=3, words=12)
    lines = lzma.decompress((tmp_path / "out.txt.xz").read_bytes()).decode().splitlines()
    assert lines == ["one sentence is here", "and here is another", "the third of them"]


@pytest.mark.parametrize(
    ("name", "contents", "said"),
    [
        ("gone.txt", None, "gone.txt: expected text in UTF-8, a paragraph a line: .*No such file"),
        ("latin.txt", "Caf\xe9 is open today.".encode("latin-1"), "latin.txt: expected text in UTF-8"),
        ("cut.txt.xz", lzma.compress(b"A sentence of words." * 99)[:-20], "cut.txt.xz: expected text in UTF-8"),
        ("empty.txt", b"\n \n", "empty.txt: expected sentences of 3 words or more, found none"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, contents: bytes | None, said: str) -> None:
    """An earlier file stays as it is, and none is begun."""
    if contents is not None:
        (tmp_path / name).write_bytes(contents)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "out.txt").write_text("before")
    with pytest.raises(ProseError, match=said):
        write_sentences([tmp_path / name], tmp_path / "out" / "out.txt")
    assert [(p.name, p.read_text()) for p in (tmp_path / "out").iterdir()] == [("out.txt", "before")]


def test_without_the_library_it_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base install has no sentence splitter."""

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(prose.importlib, "import_module", missing)
    (tmp_path / "prose.txt").write_text("A sentence of words.")
    with pytest.raises(ProseError, match=r'sentencex is not installed: pip install "earshot\[train\]"'):
        write_sentences([tmp_path / "prose.txt"], tmp_path / "out.txt")


def test_the_command_leaves_out_a_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Transcripts of the splits named are left out, of others kept; a split that is not there is an error."""
    texts = {"dev": "it was in the dev set", "train": "it was in the training set"}
    utterances = [Utterance(s, f"{s}.wav", 1.0, "one", text, s) for s, text in texts.items()]
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    (tmp_path / "prose.txt").write_text("It was in the dev set. It was in the training set; it was in neither set.")
    command = ["sentences", str(tmp_path / "prose.txt"), "-o", str(tmp_path / "out.txt")]
    without = [*command, "--without", str(tmp_path / "manifest.jsonl")]
    with pytest.raises(SystemExit) as ended:
        main([*without, "--split", "dev"])
    assert ended.value.code == 0
    assert "Wrote 1 sentences, 11 words" in capsys.readouterr().out
    assert (tmp_path / "out.txt").read_text() == "it was in the training set it was in neither set\n"
    with pytest.raises(SystemExit) as ended:
        main([*without, "--split", "test"])
    assert ended.value.code == 1
    assert "expected utterances of test, found none" in capsys.readouterr().err
