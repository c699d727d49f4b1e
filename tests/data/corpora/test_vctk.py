from collections.abc import Callable
from pathlib import Path

import pytest

from data.corpora.reading import CorpusError
from data.corpora.vctk import read_vctk
from data.manifest import Utterance


def write_text(folder: Path, name: str, text: str) -> None:
    path = folder / "txt" / name.split("_")[0] / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    write_text(tmp_path, "p225_001", "Please call Stella.\n")
    write_text(tmp_path, "p226_002", "Ask her!\n")
    return tmp_path


@pytest.mark.parametrize(
    ("recordings", "ending", "other"),
    [("wav48_silence_trimmed", "_mic1.flac", "_mic2.flac"), ("wav48", ".wav", ".log")],
)
def test_both_layouts(corpus: Path, record: Callable[..., Path], recordings: str, ending: str, other: str) -> None:
    for name in ("p225_001", "p226_002"):
        record(f"{recordings}/{name[:4]}/{name}{ending}", rate=48_000)
        (corpus / recordings / name[:4] / f"{name}{other}").touch()
    first, second = read_vctk(corpus)
    assert first == Utterance(
        "p225_001",
        str(corpus / recordings / "p225" / f"p225_001{ending}"),
        0.5,
        "vctk-p225",
        "please call stella",
        "train",
        raw="Please call Stella.",
    )
    assert second.speaker == "vctk-p226"


def test_texts_without_a_recording_or_words_are_skipped(corpus: Path, record: Callable[..., Path]) -> None:
    record("wav48/p225/p225_001.wav")
    record("wav48/p227/p227_003.wav")
    write_text(corpus, "p227_003", "\n")
    reasons: list[str] = []
    assert [u.id for u in read_vctk(corpus, skip=reasons.append)] == ["p225_001"]
    assert "p226_002.wav: no such file" in reasons[0]
    assert "p227_003.txt:1: expected a transcript with words" in reasons[1]


def test_no_recordings(corpus: Path) -> None:
    with pytest.raises(CorpusError, match=r"expected txt/SPEAKER/\*.txt, and wav48_silence_trimmed/ or wav48/"):
        list(read_vctk(corpus))
