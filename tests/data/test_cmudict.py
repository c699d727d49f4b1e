# ruff: noqa: RUF001  phonemes look like letters
"""The CMU Pronouncing Dictionary's phonemes in ours."""

from pathlib import Path

import pytest

from data.cmudict import SOUNDS, read_cmudict, sound_alike
from data.english import SIMPLER
from data.manifest import ManifestError

DICTIONARY = """;;; # as the dictionary's file begins
water  W AO1 T ER0
water(2)  W AA1 T ER0
Depeche D EH P EH SH
button  B AH1 T AH0 N # of a shirt
attire  AH0 T AY1 R

"""


def test_words_are_read_with_and_without_stress(tmp_path: Path) -> None:
    path = tmp_path / "cmudict.dict"
    path.write_text(DICTIONARY)
    assert {word: " ".join(said) for word, said in read_cmudict(path).items()} == {
        "water": "w ɔː ɾ ɚ",
        "depeche": "d ɛ p ɛ ʃ",
        "button": "b ʌ ɾ ə n",
        "attire": "ə t aɪ ɹ",  # a stressed vowel has no flap before it
    }


def test_its_sounds_are_symbols_that_the_model_has() -> None:
    assert not set(SOUNDS.values()) & set(SIMPLER)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat K AE1 T\ndog D XX1 G\n", "line 2: expected a word and its phonemes, got 'dog D XX1 G'"),
        ("cat\n", "line 1"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "other.txt"
    path.write_text(text)
    with pytest.raises(ManifestError, match=message):
        read_cmudict(path)
    with pytest.raises(ManifestError, match="expected a pronouncing dictionary"):
        read_cmudict(tmp_path / "missing")


def test_unstressed_vowels_are_alike() -> None:
    assert sound_alike(["k", "æ", "l", "k", "j", "ʊ", "l"], ["k", "æ", "l", "k", "j", "ʊ", "l"])
    assert sound_alike(["b", "ʌ", "ɾ", "ə", "n"], ["b", "ə", "t", "ɪ", "n"])
    assert not sound_alike(["b", "ɪ", "t"], ["b", "æ", "t"])
