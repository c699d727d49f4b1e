"""The phonetic search against all paths of small lexicons."""

import itertools

import numpy as np
import pytest

from asr.decoding.next_words import no_network
from asr.decoding.phonetic import PhoneticSearch, Scratch
from asr.decoding.token_passing import PAUSE
from asr.language.config import PhoneticWeights
from asr.language.ngrams import NgramModel, estimate
from asr.language.phone_lexicon import build_tree, with_words
from asr.language.phonetic import phrase_automaton, trigrams_of

PHONES = 3
SAID = {"ab": [[0, 1]], "a": [[0]], "ba": [[1, 0], [1, 2]], "cab": [[2, 0, 1]], "bb": [[1, 1]], "eh": [[0]]}
TEXT = ["ab a ba", "a cab ab", "ba ba a", "bb a eh", "eh ab cab ba", "a ab", "cab a", "eh eh ba"]
WIDE = PhoneticWeights(lm_weight=0.7, word_bonus=-0.3, beam=1e3, tokens=4000)
NO_PHRASES: list[list[str]] = []


@pytest.fixture(scope="module")
def ngrams() -> NgramModel:
    """Trigrams of a few sentences, unpruned."""
    return estimate([line.split() for line in TEXT], 1, -1e9, -1e9)


@pytest.fixture(scope="module")
def scratch(ngrams: NgramModel) -> Scratch:
    """Room for all searches here."""
    return Scratch(no_network(len(ngrams.words)), WIDE.tokens)


def search_of(ngrams: NgramModel, scratch: Scratch, weights: PhoneticWeights = WIDE, phrases=NO_PHRASES, price=0.0):
    """A search, and its words' texts; words of phrases that the text does not have are said as their letters are."""
    tree, texts = build_tree(ngrams.words, ngrams.log_probs, SAID), list(ngrams.words)
    own = [w for w in dict.fromkeys(w for p in phrases for w in p) if w not in texts]
    if own:
        entries = [(["abc".index(c) for c in word], len(texts) + i) for i, word in enumerate(own)]
        tree, texts = with_words(tree, entries, np.full(len(texts) + len(own), -8.0)), texts + own
    numbers = {text: i for i, text in enumerate(texts)}
    automaton = phrase_automaton(phrases, {w: price for p in phrases for w in p}, numbers, len(texts))
    return PhoneticSearch(tree, trigrams_of(ngrams), automaton, weights, scratch), texts


def frames(rng: np.random.Generator, count: int) -> np.ndarray:
    """Log-probabilities [count, PHONES + 1]."""
    return np.log(rng.dirichlet(np.full(PHONES + 1, 0.7), count)).astype(np.float32)


def spoken(words: list[str], frames_each: int = 2, blank: int = 1) -> np.ndarray:
    """Log-probabilities that say words surely: each phoneme for some frames, then blank."""
    path = [
        p
        for word in words
        for phone in SAID.get(word, [["abc".index(c) for c in word]])[0]
        for p in [phone] * frames_each + [PHONES] * blank
    ]
    found = np.full((len(path), PHONES + 1), np.log(0.01), np.float32)
    found[np.arange(len(path)), path] = np.log(0.97)
    return found


def ctc(log_probs: np.ndarray, phones: list[int]) -> float:
    """Log-probability of a sequence of phonemes: all its paths."""
    states = [PHONES, *(s for phone in phones for s in (phone, PHONES))]
    score = np.full(len(states), -np.inf)
    score[:2] = log_probs[0, states[:2]]  # a text of nothing has one state
    for now in log_probs[1:]:
        moved = score.copy()
        moved[1:] = np.logaddexp(moved[1:], score[:-1])
        for s in range(3, len(states), 2):
            if states[s] != states[s - 2]:
                moved[s] = np.logaddexp(moved[s], score[s - 2])
        score = moved + now[states]
    return float(np.logaddexp.reduce(score[-2:]))


def by_hand(ngrams: NgramModel, log_probs: np.ndarray, weights: PhoneticWeights) -> dict[tuple[str, ...], float]:
    """Scores of all word sequences of at most four words, each over all its pronunciations' paths."""
    numbers = {word: i for i, word in enumerate(ngrams.words)}
    found = {}
    for count in range(5):
        for words in itertools.product(SAID, repeat=count):
            before, price = [numbers["<s>"]], 0.0
            for word in words:
                price += ngrams.log_prob(numbers[word], before) * weights.lm_weight + weights.word_bonus
                before.append(numbers[word])
            several = [[p for one in said for p in one] for said in itertools.product(*(SAID[w] for w in words))]
            heard = [ctc(log_probs, phones) for phones in several if len(phones) <= len(log_probs)]
            if heard:
                found[words] = float(np.logaddexp.reduce(heard)) + price
    return found


@pytest.mark.parametrize("seed", range(12))
def test_finds_the_best_of_all_word_sequences(ngrams: NgramModel, scratch: Scratch, seed: int) -> None:
    """Homophones, words that begin others, repeated phonemes and several pronunciations among them.

    Its score is that of its words, each said one way at least, and at most that of all words': where sequences meet
    with the same memory, what is left of the less likely may count for the other.
    """
    log_probs = frames(np.random.default_rng(seed), 6)
    search, texts = search_of(ngrams, scratch)
    search.advance(log_probs)
    words = search.finals(1)[0][1]
    found = by_hand(ngrams, log_probs, WIDE)
    best = max(found, key=lambda sequence: found[sequence])
    assert tuple(texts[w.word] for w in words) == best
    score = sum(w.score for w in words) + _blanks_after(search)
    assert found[best] - 2 * np.log(2) < score < float(np.logaddexp.reduce(list(found.values()))) + 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_a_words_score_is_that_of_all_its_paths(ngrams: NgramModel, scratch: Scratch, seed: int) -> None:
    """Exactly, where no other word sequence can be meant."""
    log_probs = frames(np.random.default_rng(seed), 9)
    only = {"cab": [[2, 0, 1]]}
    tree = build_tree(ngrams.words, ngrams.log_probs, only)
    automaton = phrase_automaton([], {}, {}, len(ngrams.words))
    search = PhoneticSearch(tree, trigrams_of(ngrams), automaton, PhoneticWeights(0.7, 9.0, 1e3, 4000), scratch)
    search.advance(log_probs[:4])
    search.advance(log_probs[4:])
    numbers = {word: i for i, word in enumerate(ngrams.words)}
    scores = {}
    for count in range(4):
        before, price = [numbers["<s>"]], 0.0
        for _ in range(count):
            price += 0.7 * ngrams.log_prob(numbers["cab"], before) + 9.0
            before.append(numbers["cab"])
        scores[count] = ctc(log_probs, [2, 0, 1] * count) + price
    best = max(scores, key=lambda count: scores[count])
    words = search.finals(1)[0][1]
    assert len(words) == best
    assert sum(w.score for w in words) + _blanks_after(search) == pytest.approx(scores[best], abs=1e-3)


def _blanks_after(search: PhoneticSearch) -> float:
    """What the best final path's frames after its last word's first ending added."""
    tokens, n = search._tokens, search._count
    scores = np.logaddexp(tokens.label[:n], tokens.blank[:n])
    over = np.flatnonzero(tokens.node[:n] == 0)
    best = over[int(np.argmax(scores[over]))]
    return float(scores[best]) + search._offset - float(search._links.score[tokens.link[best]])


def test_more_tokens_find_likelier_paths() -> None:
    """Where everything may be meant, and a frame's tokens would make thousands more: there is room for them."""
    rng = np.random.default_rng(0)
    said = {f"w{i}": [rng.integers(0, 12, 3 + i % 4).tolist()] for i in range(800)}
    ngrams = estimate([rng.choice(list(said), 6).tolist() for _ in range(900)], 1, -1e9, -1e9)
    tree, log_probs = build_tree(ngrams.words, ngrams.log_probs, said), np.log(rng.dirichlet(np.full(13, 3.0), 40))
    automaton = phrase_automaton([], {}, {text: i for i, text in enumerate(ngrams.words)}, len(ngrams.words))
    found = []
    for tokens in (300, 1500, 6000):
        weights = PhoneticWeights(lm_weight=1.0, word_bonus=0.0, beam=1e3, tokens=tokens)
        room = Scratch(no_network(len(ngrams.words)), tokens)
        search = PhoneticSearch(tree, trigrams_of(ngrams), automaton, weights, room)
        search.advance(log_probs.astype(np.float32))
        found.append(search.finals(1)[0][0] + search._offset)
    assert found[0] < found[1] < found[2]


def test_chunks_make_no_difference(ngrams: NgramModel, scratch: Scratch) -> None:
    """Frame by frame the search says what it says of all at once."""
    log_probs = frames(np.random.default_rng(3), 60)
    narrow = PhoneticWeights(lm_weight=0.7, word_bonus=-0.3, beam=6.0, tokens=40)
    whole, _ = search_of(ngrams, scratch, narrow)
    whole.advance(log_probs)
    parts, _ = search_of(ngrams, scratch, narrow)
    for frame in log_probs:
        parts.advance(frame[None])
    assert parts.finals(5)[0][1] and len(parts.finals(5)[0][1]) == len(whole.finals(5)[0][1])
    for (score, words), (other, others) in zip(parts.finals(5), whole.finals(5), strict=True):
        assert [(w.word, w.start, w.end) for w in words] == [(w.word, w.start, w.end) for w in others]
        assert score == pytest.approx(other, abs=1e-3)


def test_settled_words_stay(ngrams: NgramModel, scratch: Scratch) -> None:
    """What all paths share is in every later best path."""
    search, _ = search_of(ngrams, scratch, PhoneticWeights(0.7, -0.3, 8.0, 100))
    kept: list[int] = []
    for part in np.split(frames(np.random.default_rng(5), 200), 40):
        search.advance(part)
        words = [w.word for w in search.best()]
        assert words[: len(kept)] == kept
        kept = words[: search.settled]
    assert len(kept) > 10


def test_places_words_where_they_are_said(ngrams: NgramModel, scratch: Scratch) -> None:
    """Starts and ends are the frames of the first and last phoneme."""
    search, texts = search_of(ngrams, scratch)
    silence = np.full((5, PHONES + 1), np.log(0.01), np.float32)
    silence[:, -1] = np.log(0.97)
    search.advance(np.concatenate([silence, spoken(["cab"]), silence, spoken(["ba"]), silence]))
    words = search.finals(1)[0][1]
    assert [(texts[w.word], w.start, w.end) for w in words] == [("cab", 5, 11), ("ba", 19, 22)]


@pytest.mark.parametrize(("pause", "expected"), [(PAUSE - 2, "a"), (PAUSE + 2, "eh")])
def test_a_sentence_may_begin_after_a_pause(scratch: Scratch, pause: int, expected: str) -> None:
    """Of homophones the one that "ba" goes on with, and after a long pause that which sentences begin with."""
    ngrams = estimate([line.split() for line in ["eh ba a", "eh ba ab", "eh ba cab", "eh ba bb"] * 5], 1, -1e9, -1e9)
    search, texts = search_of(ngrams, scratch, PhoneticWeights(1.0, 0.0, 1e3, 4000))
    silence = np.full((pause, PHONES + 1), np.log(0.01), np.float32)
    silence[:, -1] = np.log(0.97)
    search.advance(np.concatenate([spoken(["a", "ba"], blank=0), silence, spoken(["a"])]))
    assert [texts[w.word] for w in search.finals(1)[0][1]] == ["eh", "ba", expected]


def test_a_word_that_is_not_over_is_not_final(ngrams: NgramModel, scratch: Scratch) -> None:
    """Finals end with whole words, although a token inside a word may be the likeliest."""
    search, texts = search_of(ngrams, scratch, PhoneticWeights(0.1, 0.0, 50.0, 4000))
    search.advance(np.concatenate([spoken(["cab"]), spoken(["c"])]))
    assert [texts[w.word] for w in search.best()] == ["cab"]
    assert all(texts[w.word] in SAID for _, words in search.finals(8) for w in words)


def test_nothing_heard_says_nothing(ngrams: NgramModel, scratch: Scratch) -> None:
    """No frames, and frames of blank."""
    search, _ = search_of(ngrams, scratch, PhoneticWeights(0.7, -0.3, 8.0, 100))
    assert search.best() == [] and search.finals(3) == [(0.0, [])] and search.settled == 0
    silence = np.full((300, PHONES + 1), np.log(1e-4), np.float32)
    silence[:, -1] = np.log(1 - 3e-4)
    search.advance(silence)
    assert search.best() == [] and search.finals(3)[0][1] == []


def test_long_audio_keeps_its_precision_and_its_size(ngrams: NgramModel, scratch: Scratch) -> None:
    """Half an hour in, a word is decided as at the start, and old words take their own room alone."""
    search, texts = search_of(ngrams, scratch, PhoneticWeights(0.7, -0.3, 8.0, 100))
    minute = np.concatenate([spoken(["cab", "bb"]) for _ in range(90)])
    for _ in range(25):
        search.advance(minute)
    assert len(search._links.word) < 25 * 180 + 500
    words = [texts[w.word] for w in search.finals(1)[0][1]]
    assert words == ["cab", "bb"] * 2250


def test_favours_phrases_and_takes_it_back(ngrams: NgramModel, scratch: Scratch) -> None:
    """A bonus for each word of a phrase, lost where the phrase breaks off; words of its own in the lexicon's place."""
    numbers = {word: i for i, word in enumerate(["", "new", "york", "city", "old"])}
    phrases = [["new", "york", "city"], ["new", "york"], ["york", "old"]]
    automaton = phrase_automaton(phrases, {"new": 1.0, "york": 2.0, "city": 4.0, "old": 8.0}, numbers, 5)

    def total(words: list[str]) -> float:
        state, gained = 0, 0.0
        for word in words:
            column = automaton.column[numbers[word]]
            gained += float(automaton.gain[state, column])
            state = int(automaton.following[state, column])
        return gained - float(automaton.pending[state])

    assert total(["new", "york", "city"]) == 7.0
    assert total(["new", "york"]) == 3.0
    assert total(["new"]) == total(["new", ""]) == total(["old", "new", "city"]) == 0.0
    assert total(["new", "york", ""]) == 3.0
    assert total(["york", "old"]) == 10.0
    assert total(["", "new", "new", "york", "city", "new"]) == 7.0
    assert total(["new", "york", "old"]) == 3.0  # "york" is paid

    automaton = phrase_automaton([["new", "new"]], {"new": 1.0}, numbers, 5)
    assert [total(["new"] * times) for times in range(1, 6)] == [0.0, 2.0, 2.0, 4.0, 4.0]

    heard = spoken(["acb"]) + np.log(0.3)  # a word that the lexicon does not have
    plain, texts = search_of(ngrams, scratch)
    plain.advance(heard)
    assert "acb" not in [texts[w.word] for w in plain.finals(1)[0][1]]
    following, texts = search_of(ngrams, scratch, phrases=[["acb"]], price=5.0)
    following.advance(heard)
    assert [texts[w.word] for w in following.finals(1)[0][1]] == ["acb"]


def test_flat_posteriors_fill_no_table(ngrams: NgramModel, scratch: Scratch) -> None:
    """Where everything may be meant, as much as has room is searched; words go on ending, and the stream goes on."""
    search, _ = search_of(ngrams, scratch, PhoneticWeights(0.7, 2.0, 1e3, 8000))
    search.advance(np.full((40, PHONES + 1), np.log(0.25), np.float32))
    assert 0 < search._count <= 8000
    assert len(search.finals(1)[0][1]) > 5
