"""Phonemes of words as espeak-ng pronounces them, for the phoneme CTC head of a model.

Spelling is a code of its own, which a model that hears few hours learns slowly; phonemes are what it hears.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from data.english import in_sentences
from data.programs import SynthesisError, ipa, program

BATCH = 500  # words a call
_ENGLISH = re.compile(r"en\b")  # en, en-us, en-gb-scotland, en-us+f3
_STRESS = str.maketrans("", "", "ˈˌ")


def pronunciations(words: Iterable[str], voice: str = "en-us") -> dict[str, list[list[str]]]:
    """Pronunciations of each word in the International Phonetic Alphabet, without stress: that of the word alone.

    In an English voice by the symbols of `data.english`, the usual pronunciation first.

    Args:
        words: Normalised words; each is asked for once.
        voice: Voice of espeak-ng, whose accent it is.

    Raises:
        SynthesisError: if espeak-ng is missing or fails, or says nothing for a word.
    """
    program("espeak-ng")
    found: dict[str, list[str]] = {}
    wanted = sorted(set(words))
    for start in range(0, len(wanted), BATCH):
        some = wanted[start : start + BATCH]
        lines = _lines(some, voice)
        if len(lines) != len(some):  # a word that is said as several sentences, or not at all
            lines = [" ".join(_lines([word], voice)) for word in some]
        found |= {word: _phonemes(line) for word, line in zip(some, lines, strict=True)}
    silent = [word for word, phonemes in found.items() if not phonemes]
    if silent:
        raise SynthesisError(f"espeak-ng:{voice}: expected phonemes of every word, got none of {silent[0]!r}")
    return {word: in_sentences(word, said) if _ENGLISH.match(voice) else [said] for word, said in found.items()}


def _lines(words: Sequence[str], voice: str) -> list[str]:
    """What espeak-ng prints for words that are paragraphs of their own."""
    return ipa("\n\n".join(words) + "\n", voice, "--sep=_")


def _phonemes(line: str) -> list[str]:
    return [p for p in line.translate(_STRESS).replace(" ", "_").split("_") if p]


def write_pronunciations(path: Path, found: Mapping[str, Sequence[Sequence[str]]]) -> None:
    """Writes JSON, a word a line in order, as `data.pronunciations` of a training run reads it.

    A word has a list of phonemes, or, of several pronunciations, a list of such lists.
    """
    values = {word: said[0] if len(said) == 1 else said for word, said in sorted(found.items())}
    lines = ",\n".join(f"{json.dumps(word)}: {json.dumps(said, ensure_ascii=False)}" for word, said in values.items())
    partial = path.with_name(f"{path.name}.tmp")
    partial.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    partial.replace(path)
