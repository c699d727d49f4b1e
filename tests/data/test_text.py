import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.text import TextError, normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("...", ""),
        ("Hello, World!", "hello world"),
        ("  two\t spaces\nand lines ", "two spaces and lines"),
        ("don't I’ll o\u2018clock rock`n`roll", "don't i'll o'clock rock'n'roll"),
        ("'Tis the “dogs’” 'round", "tis the dogs round"),
        ("she said 'go away' twice", "she said go away twice"),
        ("rock 'n' roll '' '", "rock n roll"),
        ("well-known — semi–detached", "well known semi detached"),
        ("naïve café façade", "naive cafe facade"),
        ("Ærø Łódź straße ﬁne Œuvre ȴ", "aero lodz strasse fine oeuvre l"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
        ("U.S.A.", "u s a"),
        ("Acme™ ©", "acme"),
        ("Mr. Smith, mrs Jones and Dr. No's", "mister smith missus jones and doctor no's"),
        ("this & that", "this and that"),
        ("50% of 20 °C", "fifty percent of twenty degrees c"),
        ("a + b = c @ home", "a plus b equals c at home"),
        ("$5 or £2.50", "five dollars or two pounds and fifty pence"),
        ("½ cup, 2½ cups", "one half cup two and one half cups"),
        ("emoji 🎉 here", "emoji here"),
        ("5 µm ŉ", "five micro m n"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert normalise(text) == expected


@pytest.mark.parametrize(("text", "name"), [("да", "CYRILLIC SMALL LETTER DE"), ("٣", "ARABIC-INDIC DIGIT THREE")])
def test_other_scripts_are_refused_by_name(text: str, name: str) -> None:
    with pytest.raises(TextError, match=name):
        normalise(f"hello {text}")


@given(st.text(alphabet=st.characters(max_codepoint=0x17F)))
def test_only_plain_words_remain_and_stay(text: str) -> None:
    words = normalise(text)
    assert re.fullmatch(r"(?:[a-z]+(?:'+[a-z]+)*(?: [a-z]+(?:'+[a-z]+)*)*)?", words)
    assert normalise(words) == words


@given(st.text())
def test_any_text_is_normalised_or_refused(text: str) -> None:
    try:
        words = normalise(text)
    except TextError:
        assert not text.isascii()
    else:
        assert set(words) <= set("abcdefghijklmnopqrstuvwxyz' ")
