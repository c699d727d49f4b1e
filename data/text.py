"""Text normalisation, the same for training and scoring: lower case, `a`-`z`, apostrophe, single spaces.

What is written in figures is written out as it is read aloud (`data.numbers`). Accents and ligatures become
plain letters, hyphens and all other punctuation become spaces, so that "U.S.A." is "u s a". Apostrophes stay
within words ("don't") and go at their edges, where they are mostly quotation marks ("'tis" is "tis"). Letters
and digits of other scripts have no reading here: they are an error and never dropped, because the sound of
them would stay in the audio.
"""

import re
import unicodedata

from data.numbers import spell_numbers

# Single quotation marks, modifier letters, prime, full width, grave and acute accent.
_APOSTROPHES = dict.fromkeys(map(ord, "\u2019\u2018\u201b\u02bc\u02bb\u02b9\u2032\uff07`\u00b4"), "'")
_SIGNS = dict.fromkeys(map(ord, "™®©℠"), " ")  # NFKD would spell them as letters
# The last two: i without its dot, and what NFKD makes of the micro sign.
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ð": "d", "þ": "th", "ŋ": "n", "ĸ": "k", "\u0131": "i", "\u03bc": " micro "}
)
_LETTER_WITH_SOMETHING = re.compile("LATIN SMALL LETTER ([A-Z]) WITH ")  # ø, ł and others NFKD keeps whole
_SYMBOLS = str.maketrans(
    {
        "&": " and ",
        "+": " plus ",
        "=": " equals ",
        "@": " at ",
        "%": " percent ",
        "°": " degrees ",
        "×": " times ",
        "÷": " divided by ",
        "$": " dollars ",
        "£": " pounds ",
        "€": " euros ",
        "¢": " cents ",
    }
)
_TITLES = {"mr": "mister", "mrs": "missus", "dr": "doctor"}  # corpora differ in whether they write them out
_TITLE = re.compile(rf"\b({'|'.join(_TITLES)})\b")
_VULGAR_FRACTION = re.compile("[¼-¾⅐-⅞]")
_EDGE = re.compile(r"(?<![a-z])'+|'+(?![a-z])")
_PLAIN = re.compile(r"[a-z' ]*")


class TextError(ValueError):
    """A text holds letters that cannot be normalised."""


def normalise(text: str) -> str:
    """The words of a text as they are spoken.

    Args:
        text: Any English text.

    Returns:
        Lower-case words of `a`-`z` and inner apostrophes, one space between them; empty if there are none.
        Normalising it again changes nothing.

    Raises:
        TextError: if the text has a letter or digit of a script other than Latin.
    """
    if not _PLAIN.fullmatch(text):
        text = spell_numbers(_fold(text)).translate(_SYMBOLS)
        text = "".join(map(_kept, text))
    text = _EDGE.sub(" ", text)
    text = _TITLE.sub(lambda match: _TITLES[match[1]], text)
    return " ".join(text.split())


def _fold(text: str) -> str:
    """Lower case without accents, ligatures and invisible characters."""
    text = _VULGAR_FRACTION.sub(_spaced_fraction, text.translate(_APOSTROPHES).translate(_SIGNS))
    characters = unicodedata.normalize("NFKD", text)
    visible = (c for c in characters if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    text = "".join(visible).casefold().translate(_LETTERS)
    return text.translate(_APOSTROPHES)  # again: NFKD makes some of its own


def _spaced_fraction(match: re.Match[str]) -> str:
    """Sets a fraction off, for NFKD would join "2½" to "21/2"."""
    after_digit = match.start() and match.string[match.start() - 1].isdecimal()
    return f" and {match[0]} " if after_digit else f" {match[0]} "


def _kept(character: str) -> str:
    if "a" <= character <= "z" or character == "'":
        return character
    if unicodedata.category(character)[0] not in "LN":
        return " "
    name = unicodedata.name(character, "unnamed")
    if plain := _LETTER_WITH_SOMETHING.match(name):
        return plain[1].lower()
    raise TextError(f"expected letters a to z, with or without accents, got {character!r} ({name})")
