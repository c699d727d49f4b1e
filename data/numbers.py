"""Figures written out in English words, as they are read aloud.

Four figures from 1100 to 2099 are read as a year ("nineteen eighty four", "fifteen hundred"), other whole
numbers in the British way ("one hundred and five"); figures after a leading zero, and very long ones, one by
one.
"""

import re
from collections.abc import Callable

from num2words import num2words

_WHOLE = r"\d{1,3}(?:,\d{3})+(?!\d)|\d+"
_NUMBER = rf"(?:{_WHOLE})(?:\.\d+)?"
_SCALE = r"(?:\s+(hundred|thousand|million|billion|trillion)\b)?"
_CURRENCIES = {  # sign: unit, its hundredth, each in singular and plural
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
}
_LONGEST_NUMBER = 15  # figures; longer ones are codes, not amounts


def spell_numbers(text: str) -> str:
    """Replaces every ASCII figure in a lower-case text, with the signs that are read with it.

    Args:
        text: Lower case, hyphens and dashes as they were written.

    Returns:
        The text with words of `a`-`z` in place of figures, among them spaces at will.
    """
    for pattern, spell in _RULES:
        text = _replaced(pattern, spell, text)
    return text


def _replaced(pattern: re.Pattern[str], spell: Callable[[re.Match[str]], str], text: str) -> str:
    return pattern.sub(lambda match: f" {spell(match)} ", text)


def _words(value: str | int, to: str = "cardinal") -> str:
    return str(num2words(value, to=to)).replace("-", " ").replace(",", "")


def _one_by_one(figures: str) -> str:
    return " ".join(_words(int(figure)) for figure in figures)


def _number(text: str) -> str:
    """Words of a number such as "1,234", "007", "3.14" or ".5"."""
    whole, point, decimals = text.replace(",", "").partition(".")
    if not whole:
        words = ""
    elif len(whole) > _LONGEST_NUMBER or (len(whole) > 1 and whole[0] == "0"):
        words = _one_by_one(whole)
    else:
        words = _words(int(whole))
    return f"{words} point {_one_by_one(decimals)}".strip() if point else words


def _year_or_number(text: str) -> str:
    """Words of a whole number, as a year if it can be one."""
    if len(text) == 4 and text.isdecimal() and 1100 <= int(text) <= 2099:
        return _words(int(text), "year")
    return _number(text)


def _ordinal(text: str) -> str:
    figures = text.replace(",", "")
    return _words(int(figures), "ordinal") if len(figures) <= _LONGEST_NUMBER else _one_by_one(figures)


def _plural(words: str) -> str:
    """Plural of the last word: "eighties", "sixes", "hundreds"."""
    if words.endswith("y"):
        return f"{words[:-1]}ies"
    return f"{words}es" if words.endswith("x") else f"{words}s"


def _money(match: re.Match[str]) -> str:
    sign, amount, scale = match[1], match[2], match[3]
    one, many, cent, cents = _CURRENCIES[sign]
    if scale:
        return f"{_number(amount)} {scale} {many}"
    whole, point, hundredths = amount.replace(",", "").partition(".")
    whole = whole or "0"
    if point and len(hundredths) != 2:
        return f"{_number(amount)} {many}"
    parts = []
    if int(whole) or not int(hundredths or 0):
        parts.append(f"{_number(whole)} {one if int(whole) == 1 else many}")
    if int(hundredths or 0):
        parts.append(f"{_words(int(hundredths))} {cent if int(hundredths) == 1 else cents}")
    return " and ".join(parts)


def _time(match: re.Match[str]) -> str:
    hour, minute = int(match[1]), int(match[2])
    if minute:
        return f"{_words(hour)} {'oh ' if minute < 10 else ''}{_words(minute)}"
    return _words(hour) if match[3] else f"{_words(hour)} o'clock"


def _fraction(match: re.Match[str]) -> str:
    above, below = match[1], match[2]
    if not 2 <= int(below) <= 100 or int(above) > 100:
        return f"{_number(above)} over {_number(below)}"
    part = {2: "half", 4: "quarter"}.get(int(below)) or _words(int(below), "ordinal")
    if int(above) != 1:
        part = "halves" if part == "half" else _plural(part)
    return f"{_words(int(above))} {part}"


# In this order: what takes more signs into account comes first.
_RULES: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
    (re.compile(r"(?<![\w.])[-−](?=[$£€¥]?\.?[0-9])", re.ASCII), lambda m: "minus"),
    (re.compile(rf"([$£€¥])\s?({_NUMBER}|\.\d+){_SCALE}", re.ASCII), _money),
    (re.compile(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?![\d:])(?=\s*([ap]\.?\s?m\b)?)", re.ASCII), _time),
    (re.compile(r"(\d+)\u2044(\d+)", re.ASCII), _fraction),  # the fraction slash
    (re.compile(r"(?<![\d/.,])([1-8])/([2-9])(?![\d/])", re.ASCII), _fraction),
    (re.compile(rf"\b({_WHOLE})(?:st|nd|rd|th)\b", re.ASCII), lambda m: _ordinal(m[1])),
    (re.compile(rf"(?<![\w.,])'?({_WHOLE})'?s\b", re.ASCII), lambda m: _plural(_year_or_number(m[1]))),
    (re.compile(r"\d+(?:\.\d+){2,}", re.ASCII), lambda m: " point ".join(map(_number, m[0].split(".")))),
    (re.compile(r"#\s?(?=\d)", re.ASCII), lambda m: "number"),
    (re.compile(r"(?<!\d)(?<!\d[.,])\d{4}(?!\d|\.\d)", re.ASCII), lambda m: _year_or_number(m[0])),
    (re.compile(rf"{_NUMBER}|(?<!\d)\.\d+", re.ASCII), lambda m: _number(m[0])),
]
