"""The network over words in the phonetic search, against the Keras model and by what it decides."""

from collections.abc import Callable

import numpy as np
import pytest

from asr.decoding import next_words
from asr.decoding.next_words import KeptStates, NextWords, kept_states, key_after, no_network, with_network
from asr.decoding.phonetic import PhoneticSearch, Scratch
from asr.decoding.phonetic_types import Links
from asr.language.config import NextWordConfig, PhoneticWeights
from asr.language.next_word_files import in_steps
from asr.language.next_word_model import NextWordModel
from asr.language.ngrams import NgramModel, estimate
from asr.language.phone_lexicon import build_tree
from asr.language.phonetic import phrase_automaton, trigrams_of

PHONES = 3
SAID = {"ab": [[0, 1]], "a": [[0]], "eh": [[0]], "cab": [[2, 0, 1]]}
TEXT = ["ab a cab", "ab eh cab", "cab ab a", "cab ab eh"] * 3
WORDS = 6  # of the network: the unknown one, and five more


@pytest.fixture(scope="module")
def ngrams() -> NgramModel:
    """Trigrams of a few sentences, in which "a" and "eh" are alike."""
    return estimate([line.split() for line in TEXT], 1, -1e9, -1e9)


@pytest.fixture
def model(randomised: Callable) -> NextWordModel:
    """A random network."""
    network = NextWordModel(NextWordConfig(WORDS, 8, 12), dtype="float32")
    randomised(network, 5)
    return network


def network_of(model: NextWordModel, number: list[int], share: float) -> NextWords:
    """The network as the search reads it; the model's matrices become those of 8 bits, too."""
    values = {}
    for name, axis in (("embedding", 1), ("kernel", 0), ("recurrent", 0), ("hidden", 0)):
        steps, scale = in_steps(np.asarray(getattr(model, name), np.float32), axis)
        values |= {name: steps, f"{name}_scale": scale}
        getattr(model, name).assign(steps * (scale[:, None] if axis else scale))
    values |= {
        n: np.asarray(getattr(model, n), np.float32) for n in ("input_bias", "bias", "hidden_bias", "output_bias")
    }
    return NextWords(weight=np.float32(share), number=np.array(number, np.int32), **values)


def links_of(words: list[int]) -> Links:
    """Words one after the other, the segment's start before them."""
    count = len(words) + 1
    links = Links(*(np.zeros(count, np.int64 if n == "key" else np.int32) for n in Links._fields))
    links.word[0] = -1
    for k, word in enumerate(words, 1):
        links.previous[k], links.word[k] = k - 1, word
        links.key[k] = key_after(links.key[k - 1], word)
    return links


def logit(network: NextWords, kept: KeptStates, links: Links, link: int, word: int) -> float:
    """Of a word after a link, with no trigrams."""
    alone = network._replace(weight=np.float32(0.5))
    kept.price_keys[:] = next_words.NO_KEY
    price = np.float32(-1e4)
    return float(with_network(price, word, link, links, alone, kept)) - np.log(0.5)


def test_states_are_the_keras_models(model: NextWordModel) -> None:
    """Of each word of a segment, the first one too, and of words that the network does not know."""
    model.output_bias.assign(np.full(WORDS, -9.0))  # logarithms of probabilities
    network = network_of(model, [0, 0, 3, 1, 5, 2, 4], 0.5)
    words = [2, 3, 6, 9, 4, 4, 5]  # the fourth is only a phrase's
    links, kept = links_of(words), kept_states(network)
    rows = np.array([[WORDS, *(network.number[w] if w < 7 else 0 for w in words)]])
    expected = np.asarray(model.logits(model(rows)))[:, 0]
    for link in (7, *range(8)):  # the last first: those before are computed for it
        for word in (2, 3, 6):
            assert logit(network, kept, links, link, word) == pytest.approx(
                expected[link, network.number[word]], abs=1e-4
            )


def test_a_state_that_is_kept_no_more_is_computed_anew(model: NextWordModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for four, each overwrites others; beyond the depth it is as if a segment had begun there."""
    monkeypatch.setattr(next_words, "KEPT", 4)
    model.output_bias.assign(np.full(WORDS, -9.0))
    network = network_of(model, [0, 0, 3, 1, 5, 2, 4], 0.5)
    words = list(np.random.default_rng(1).integers(2, 7, 20))
    links, kept = links_of(words), kept_states(network)
    assert len(kept.keys) == 4
    rows = np.array([[WORDS, *(network.number[w] for w in words)]])
    expected = np.asarray(model.logits(model(rows)))[:, 0]
    for link in np.random.default_rng(2).permutation(21):
        assert logit(network, kept, links, link, 3) == pytest.approx(expected[link, 1], abs=1e-4)
    long = links_of(words * 4)
    last = len(long.word) - 1
    anew = kept_states(network)
    rows = np.array([[WORDS, *(network.number[w] for w in long.word[-next_words.DEPTH :])]])
    expected = np.asarray(model.logits(model(rows)))[-1, 0]
    assert logit(network, anew, long, last, 3) == pytest.approx(expected[1], abs=1e-4)


def test_a_sentence_begins_anew(model: NextWordModel) -> None:
    """Behind its first word, whose key says so, the network knows nothing of the words before."""
    model.output_bias.assign(np.full(WORDS, -9.0))
    network = network_of(model, [0, 0, 3, 1, 5, 2, 4], 0.5)
    words = [2, 3, 6, 4, 5, 2]
    links, kept = links_of(words), kept_states(network)
    links.key[4] = key_after(links.key[0], words[3])
    for k in (5, 6):
        links.key[k] = key_after(links.key[k - 1], words[k - 1])
    rows = np.array([[WORDS, *(network.number[w] for w in words[3:])]])
    expected = np.asarray(model.logits(model(rows)))[:, 0]
    for link in (6, 5, 4):
        assert logit(network, kept, links, link, 3) == pytest.approx(expected[link - 3, 1], abs=1e-4)


def test_keys_tell_words_and_their_order_apart() -> None:
    """No two of some hundred thousand sequences share a key."""
    keys = {0}
    for first in range(300):
        one = key_after(0, first)
        keys |= {one, *(key_after(one, second) for second in range(300))}
    assert len(keys) == 1 + 300 + 300 * 300


def test_shares_of_a_probability(model: NextWordModel) -> None:
    """Of a word that it knows, both; of another the trigrams' alone; a sum above one counts as one."""
    network = network_of(model, [0, 0, 3, 1, 0], 0.3)
    links, kept = links_of([2, 3]), kept_states(network)
    price = np.float32(np.log(0.2))
    assert with_network(price, 4, 2, links, network, kept) == price
    network.output_bias[:] -= np.float32(20.0)
    kept = kept_states(network)  # what was computed is kept
    low = with_network(price, 3, 2, links, network, kept)
    assert with_network(price, 3, 2, links, network, kept) == low
    assert low == pytest.approx(np.log(0.7 * 0.2), abs=1e-4)
    network.output_bias[:] += np.float32(60.0)
    kept = kept_states(network)
    assert with_network(price, 3, 2, links, network, kept) == pytest.approx(np.log(0.7 * 0.2 + 0.3), abs=1e-4)


def spoken(words: list[str]) -> np.ndarray:
    """Log-probabilities that say words surely."""
    path = [p for word in words for phone in SAID[word][0] for p in (phone, phone, PHONES)]
    found = np.full((len(path), PHONES + 1), np.log(0.01), np.float32)
    found[np.arange(len(path)), path] = np.log(0.97)
    return found


def search_of(ngrams: NgramModel, network: NextWords) -> PhoneticSearch:
    """A search with the network."""
    tree = build_tree(ngrams.words, ngrams.log_probs, SAID)
    automaton = phrase_automaton([], {}, {}, len(ngrams.words))
    weights = PhoneticWeights(1.0, 0.0, 1e3, 4000)
    return PhoneticSearch(tree, trigrams_of(ngrams), automaton, weights, Scratch(network, weights.tokens))


def counting(ngrams: NgramModel, share: float) -> NextWords:
    """A network that says "eh" once "cab" was said anywhere before, else "a": its state remembers it for good."""
    numbers = {word: i for i, word in enumerate(["<unk>", "a", "eh", "cab", "ab", "none"])}
    model = NextWordModel(NextWordConfig(WORDS, 3, 1), dtype="float32")
    embedding = np.zeros((WORDS + 1, 3), np.float32)
    embedding[numbers["cab"], 0] = 1.0
    embedding[numbers["a"], 1], embedding[numbers["eh"], 1] = -6.0, 6.0  # what the state says for and against
    kernel = np.zeros((3, 3), np.float32)
    kernel[0] = [-40.0, 0.0, 40.0]  # update gate shut: the new state is taken
    for name, value in (("embedding", embedding), ("kernel", kernel), ("recurrent", np.zeros((1, 3), np.float32))):
        getattr(model, name).assign(value)
    model.input_bias.assign([20.0, 0.0, -1.0])  # else the old state stays
    model.hidden.assign([[0.0, 2.0, 0.0]])
    model.hidden_bias.assign([0.0, -1.0, 0.0])
    model.output_bias.assign([-9.0, -6.0, -6.0, -3.0, -3.0, -9.0])
    return network_of(model, [numbers.get(word, 0) for word in ngrams.words], share)


def test_it_decides_by_words_that_trigrams_have_forgotten(ngrams: NgramModel) -> None:
    """Homophones after "cab" and without it, three and more words later, in one go and frame by frame."""
    network = counting(ngrams, 0.5)
    for before, last in ((["ab", "ab", "ab"], "a"), (["cab", "ab", "ab", "ab"], "eh")):
        heard = spoken([*before, "a"])
        whole, parts = search_of(ngrams, network), search_of(ngrams, network)
        whole.advance(heard)
        for frame in heard:
            parts.advance(frame[None])
        for search in (whole, parts):
            assert [ngrams.words[w.word] for w in search.finals(1)[0][1]] == [*before, last]
        assert whole.finals(1)[0][0] == pytest.approx(parts.finals(1)[0][0], abs=1e-3)


def test_no_network_changes_nothing(ngrams: NgramModel) -> None:
    """One that knows no word says what none says."""
    heard = np.log(np.random.default_rng(4).dirichlet(np.full(PHONES + 1, 0.7), 30)).astype(np.float32)
    plain = search_of(ngrams, no_network(len(ngrams.words)))
    knowing = counting(ngrams, 0.5)
    ignorant = search_of(ngrams, knowing._replace(number=np.zeros_like(knowing.number)))
    plain.advance(heard)
    ignorant.advance(heard)
    assert plain.finals(3) == ignorant.finals(3)
