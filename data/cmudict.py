# ruff: noqa: RUF001  phonemes look like letters
"""Pronunciations of the CMU Pronouncing Dictionary in the phonemes of `data.english`."""

import re
from collections.abc import Sequence
from pathlib import Path

from data.manifest import ManifestError

SOUNDS = {
    "AA": "ɑː",
    "AE": "æ",
    "AH": "ə",
    "AO": "ɔː",
    "AW": "aʊ",
    "AY": "aɪ",
    "B": "b",
    "CH": "tʃ",
    "D": "d",
    "DH": "ð",
    "EH": "ɛ",
    "ER": "ɚ",
    "EY": "eɪ",
    "F": "f",
    "G": "ɡ",
    "HH": "h",
    "IH": "ɪ",
    "IY": "i",
    "JH": "dʒ",
    "K": "k",
    "L": "l",
    "M": "m",
    "N": "n",
    "NG": "ŋ",
    "OW": "oʊ",
    "OY": "ɔɪ",
    "P": "p",
    "R": "ɹ",
    "S": "s",
    "SH": "ʃ",
    "T": "t",
    "TH": "θ",
    "UH": "ʊ",
    "UW": "uː",
    "V": "v",
    "W": "w",
    "Y": "j",
    "Z": "z",
    "ZH": "ʒ",
}
STRESSED = {"AH": "ʌ"}  # where the dictionary tells
_VOWELS = {"AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"}
_ALIKE = {"ʌ": "ə", "ɪ": "ə", "i": "ə", "ɛ": "ə", "ɾ": "t"}  # unstressed, one is as good as the other
_OTHER = re.compile(r"\(\d+\)$")  # of a word's further pronunciations


def read_cmudict(path: Path) -> dict[str, list[str]]:
    """The first pronunciation of each word, with or without marks of stress.

    Args:
        path: Lines of a word and its phonemes, as in `cmudict.dict` and pocketsphinx's `cmudict-en-us.dict`.

    Raises:
        ManifestError: naming file and line, if the file cannot be read or a phoneme is not the dictionary's.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path}: expected a pronouncing dictionary: {error}") from error
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        word, *phones = line.split("#")[0].split() or [""]
        if not word or word.startswith(";;;") or _OTHER.search(word):
            continue
        bare = [phone.rstrip("012") for phone in phones]
        if not bare or not SOUNDS.keys() >= set(bare):
            raise ManifestError(f"{path}, line {number}: expected a word and its phonemes, got {line[:80]!r}")
        found.setdefault(word.lower(), [_sound(phones, bare, i) for i in range(len(bare))])
    return found


def _sound(phones: Sequence[str], bare: Sequence[str], i: int) -> str:
    if phones[i][-1] in "12" and bare[i] in STRESSED:
        return STRESSED[bare[i]]
    flapped = bare[i] == "T" and 0 < i < len(bare) - 1 and {bare[i - 1], bare[i + 1]} <= _VOWELS
    return "ɾ" if flapped and phones[i + 1][-1] not in "12" else SOUNDS[bare[i]]


def sound_alike(first: Sequence[str], second: Sequence[str]) -> bool:
    """Whether two pronunciations differ in unstressed vowels and flaps at most."""
    return [_ALIKE.get(x, x) for x in first] == [_ALIKE.get(x, x) for x in second]
