# ruff: noqa: RUF001  phonemes look like letters
"""Phonemes of words, by espeak-ng where it is and by a program under its name everywhere."""

import shutil
import sys
from pathlib import Path

import pytest

from data import pronounce
from data.english import SIMPLER, USUALLY_WEAK, in_sentences
from data.programs import SynthesisError
from data.pronounce import pronunciations

# Says of each paragraph its letters; "api" as two sentences, and nothing of "hush".
PROGRAM = f"""#!{sys.executable} -IS
import sys
text = open(sys.argv[sys.argv.index("-f") + 1]).read()
for word in text.split():
    if word == "api":
        print("\\u02c8e_i\\np_i")
    elif word != "hush":
        print("_".join(word[:1] + "\\u02c8" + word[1:]) if sys.argv[sys.argv.index("-v") + 1] == "en-us" else "x")
"""


@pytest.fixture
def espeak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "espeak-ng").write_text(PROGRAM, encoding="utf-8")
    (folder / "espeak-ng").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.usefixtures("espeak")
def test_stress_is_left_out_and_every_word_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pronounce, "BATCH", 2)
    found = pronunciations(["dab", "ab", "cad", "ab"])
    assert found == {"ab": [["a", "b"]], "cad": [["c", "a", "d"]], "dab": [["d", "a", "b"]]}
    assert pronunciations(["ab"], "de") == {"ab": [["x"]]}


@pytest.mark.usefixtures("espeak")
def test_a_word_of_two_sentences_takes_nothing_from_the_others() -> None:
    assert pronunciations(["ab", "api", "cab"]) == {
        "ab": [["a", "b"]],
        "api": [["e", "i", "p", "i"]],
        "cab": [["c", "a", "b"]],
    }


@pytest.mark.usefixtures("espeak")
def test_a_word_of_which_nothing_is_said_is_an_error() -> None:
    with pytest.raises(SynthesisError, match="expected phonemes of every word, got none of 'hush'"):
        pronunciations(["ab", "hush"])


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SynthesisError, match="espeak-ng is not installed; Debian: apt-get install espeak-ng"):
        pronunciations(["ab"])


def test_the_real_program_tells_words_apart_by_their_sounds() -> None:
    if shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    found = pronunciations(["knight", "night", "knit", "the"])
    assert found["knight"] == found["night"] != found["knit"]
    assert found["knit"] == [["n", "ɪ", "t"]]
    assert found["the"] == [["ð", "ə"]]


@pytest.mark.usefixtures("espeak")
def test_english_voices_have_fewer_symbols() -> None:
    assert pronunciations(["axr"], "en-gb") == {"axr": [["k"]]}
    assert pronunciations(["axr", "he"], "de") == {"axr": [["x"]], "he": [["x"]]}
    assert pronunciations(["he"]) == {"he": [["h", "e"]]}


@pytest.mark.parametrize(
    ("word", "alone", "expected"),
    [
        ("a", "eɪ", ["ə", "eɪ"]),
        ("card", "k ɑːɹ d", ["k ɑː ɹ d"]),
        ("or", "ɔːɹ", ["ɔː ɹ"]),
        ("he", "h iː", ["h i"]),
    ],
)
def test_a_word_has_its_usual_pronunciation_first(word: str, alone: str, expected: list[str]) -> None:
    assert in_sentences(word, alone.split()) == [said.split() for said in expected]


def test_simpler_symbols_are_final() -> None:
    """None is replaced by one that would be replaced itself."""
    assert not {p for said in [*SIMPLER.values(), *USUALLY_WEAK.values()] for p in said.split()} & set(SIMPLER)
