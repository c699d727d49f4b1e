"""The automaton of phrases against its definition, and what it does to decoding."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from asr.decoding.phrases import PhraseList, after, biased, compile_phrases, no_phrases, stacked
from asr.errors import AsrError

PIECES = ["▁a", "▁b", "a", "b", "▁c"]  # words: a, b, c and what begins with them
STARTS = [text.startswith("▁") for text in PIECES]


class Toy:
    """A tokenizer whose words are spelt letter by letter: "ab" is ▁a b."""

    texts = PIECES

    def __len__(self) -> int:
        return len(PIECES)

    def encode(self, text: str) -> list[int]:
        return [PIECES.index("▁" + x if i == 0 else x) for word in text.split() for i, x in enumerate(word)]

    def starts_word(self, piece: int) -> bool:
        return STARTS[piece]


def compiled(phrases: Sequence[str], weight: float = 1.0, nodes: int = 64) -> PhraseList:
    return compile_phrases(phrases, Toy(), weight, nodes)  # type: ignore[arg-type]


def bonuses(one: PhraseList, labels: Sequence[int]) -> list[float]:
    """Of each label, one after the other, by the functions of the compiled step."""
    tables = stacked([no_phrases(len(PIECES), len(one.pending)), one], Toy())  # type: ignore[arg-type]
    lists, node, found = np.array([1], np.int32), np.array([0], np.int32), []
    for label in labels:
        bonus, following = biased(tables, lists, node)
        found.append(float(np.asarray(bonus)[0, label]))
        node = np.asarray(after(following, ops.convert_to_tensor(np.array([label], np.int32))))
    return found


words = st.text("ab", min_size=1, max_size=3)
phrase = st.lists(st.one_of(words, st.just("c")), min_size=1, max_size=3).map(" ".join)


class Definition:
    """What was said as pieces, without an automaton: how much of it begins a phrase, and what that is worth."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self.known = {tuple(Toy().encode(text)) for text in phrases}
        self.begun = {piece[:n] for piece in self.known for n in range(1, len(piece) + 1)}

    def next(self, said: tuple[int, ...], label: int) -> tuple[int, ...]:
        """The longest end that begins a phrase; a new word after a whole phrase begins one by itself."""
        if (*said, label) in self.begun or not said:
            return (*said, label) if (*said, label) in self.begun else ()
        return self.next(() if said in self.known and STARTS[label] else self.shorter(said), label)

    def shorter(self, said: tuple[int, ...]) -> tuple[int, ...]:
        """The longest end of it, less than it, that may begin another phrase."""
        before, label = said[:-1], said[-1]
        if not before:
            return ()
        return self.next(() if before in self.known and STARTS[label] else self.shorter(before), label)

    def pending(self, said: tuple[int, ...]) -> int:
        """Its pieces but the first, less those that a whole phrase in it has kept."""
        if len(said) < 2:
            return 0
        return 1 + self.pending(said[:-1]) - (self.earned(said[:-1]) if STARTS[said[-1]] else 0)

    def earned(self, said: tuple[int, ...]) -> int:
        """What is kept if a word begins now: of the longest end that is a phrase."""
        if not said or said in self.known:
            return self.pending(said)
        return self.earned(self.shorter(said))


some_phrases = st.lists(phrase, max_size=5)
some_labels = st.lists(st.integers(0, len(PIECES) - 1), max_size=12)


@given(some_phrases, some_labels)
def test_bonuses_are_those_of_the_definition(phrases: list[str], labels: list[int]) -> None:
    """The longest end of what was said that begins a phrase counts; if a phrase ends it, a new word keeps its bonus."""
    definition, expected, state = Definition(phrases), [], ()
    for label in labels:
        following = definition.next(state, label)
        kept = definition.earned(state) if STARTS[label] else 0
        expected.append(kept + definition.pending(following) - definition.pending(state))
        state = following
    assert bonuses(compiled(phrases), labels) == expected


@given(some_phrases, some_labels)
def test_no_piece_is_paid_twice(phrases: list[str], labels: list[int]) -> None:
    gained = np.cumsum([0.0, *bonuses(compiled(phrases), labels)])
    assert (gained >= 0.0).all() and (gained <= np.arange(len(gained))).all()


@pytest.mark.parametrize(
    ("phrases", "said", "worth"),
    [
        (["aa bb c"], "aa bb c", 4.0),
        (["aa bb c", "bb"], "aa bb c", 4.0),  # one within the other
        (["aa aa"], "aa aa aa", 3.0 + 1.0),  # a half of one more
        (["aa aa"], "aa aa aa aa", 3.0 + 3.0),
        (["aa bb", "bb c"], "aa bb c", 3.0),  # "bb" is paid
    ],
)
def test_a_word_of_two_phrases_counts_once(phrases: list[str], said: str, worth: float) -> None:
    assert sum(bonuses(compiled(phrases), Toy().encode(said))) == worth


def test_a_phrase_earns_its_bonus_and_another_word_gives_it_back() -> None:
    said = Toy().encode("c ab b c")
    assert sum(bonuses(compiled(["ab b"], 2.0), said)) == 4.0
    assert sum(bonuses(compiled(["ab a"], 2.0), said)) == 0.0
    assert sum(bonuses(compiled(["ab"], 2.0), Toy().encode("aba c"))) == 0.0  # another word, that begins like it
    assert bonuses(compiled(["ab"], 2.0), Toy().encode("ab")) == [0.0, 2.0]


def test_nothing_is_favoured_without_phrases() -> None:
    assert not any(bonuses(compiled([]), [0, 1, 2, 3, 4]))
    assert no_phrases(5, 3).following.shape == (3, 5)


def test_phrases_are_normalised_as_transcripts_are() -> None:
    for text in ("AB, c!", " ab  C ", "ab-c"):
        np.testing.assert_array_equal(compiled([text]).following, compiled(["ab c"]).following)


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        (["c", " -- "], "phrase ' -- ': expected a word or more, got none"),
        (["слово"], "phrase 'слово': expected words that can be said"),
        (["c", "aaa bbb aaa b"], "phrases: expected at most 7 wordpieces in all, got more, at 'aaa bbb aaa b'"),
    ],
)
def test_a_phrase_that_cannot_apply_is_named(phrases: list[str], message: str) -> None:
    with pytest.raises(AsrError, match=message):
        compiled(phrases, nodes=8)
