import pytest
from hypothesis import given
from hypothesis import strategies as st
from num2words import num2words

from data.numbers import spell_numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "zero"),
        ("105", "one hundred and five"),
        ("1,234", "one thousand two hundred and thirty four"),
        ("1,200,007", "one million two hundred thousand and seven"),
        ("12,34", "twelve , thirty four"),
        ("3.14", "three point one four"),
        (".5", "point five"),
        ("v1.2.3", "v one point two point three"),
        ("007", "zero zero seven"),
        ("1111111111111111", " ".join(["one"] * 16)),
        ("-5 and −3", "minus five and minus three"),
        ("1914-1918", "nineteen fourteen - nineteen eighteen"),
        ("in 1984, 1905 and 2005.", "in nineteen eighty four , nineteen oh five and two thousand and five ."),
        ("1066", "one thousand and sixty six"),
        ("1st 22nd 103rd 1,000th", "first twenty second one hundred and third one thousandth"),
        ("1111111111111111th", " ".join(["one"] * 16)),
        ("the 1980s, '90s, 5's and 6s", "the nineteen eighties , nineties , fives and sixes"),
        ("10:30 10:05 10:00", "ten thirty ten oh five ten o'clock"),
        ("9:00 am 9:00 p.m.", "nine am nine p.m."),
        ("3/4 1/2 24/7 9/11", "three quarters one half twenty four / seven nine / eleven"),
        ("2\u20443 7\u2044200 3\u20442", "two thirds seven over two hundred three halves"),
        ("$1 $2 $1.01", "one dollar two dollars one dollar and one cent"),
        ("$0.99 $.50 $5.00", "ninety nine cents fifty cents five dollars"),
        ("£1.01 €2.5 ¥100", "one pound and one penny two point five euros one hundred yen"),
        ("$3 million -$4", "three million dollars minus four dollars"),
        ("$1984", "one thousand nine hundred and eighty four dollars"),
        ("#1", "number one"),
        ("mp3 b2b", "mp three b two b"),
        ("nothing to do", "nothing to do"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert " ".join(spell_numbers(text).split()) == expected


@given(st.integers(0, 10**15 - 1))
def test_grouped_numbers_are_cardinals(number: int) -> None:
    expected = num2words(number).replace("-", " ").replace(",", "")
    assert spell_numbers(f"{number:,}").strip() == expected


@given(st.text(alphabet="0123456789.,:/-$£%#'s ndth", max_size=30))
def test_no_figure_is_left(text: str) -> None:
    assert not any(c.isdecimal() for c in spell_numbers(text))
