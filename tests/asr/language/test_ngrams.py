"""Word trigrams: probabilities sum to one and are as published; the lexicon; both as the beam reads them; the file."""

import dataclasses
import itertools
import lzma
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from keras import ops

from asr.decoding.beam import BeamConfig, BeamSearch
from asr.decoding.phrases import after, biased, compile_phrases, no_phrases, stacked
from asr.errors import AsrError, CheckpointError
from asr.language.config import FusionWeights, LanguageConfig, WordPrices
from asr.language.fusion import make_search
from asr.language.lexicon import OUTSIDE, ROOT, build_lexicon
from asr.language.mixture import merged
from asr.language.model import RecurrentLanguageModel
from asr.language.ngrams import START, UNKNOWN, NgramModel, estimate
from asr.language.word_command import Sources, train_words_command
from asr.language.word_files import FUSION, NAME, load_words, read_words, save_words
from asr.language.words import PHRASE_WORD, WordLanguageModel
from asr.model_folder import load_model
from asr.tokenizer import Tokenizer, train_tokenizer
from asr.training.checkpoint import load_arrays, save_arrays

WORDS = ("the", "cat", "sat", "on", "mat", "a", "rat", "ate", "hat", "then", "tea", "heat", "rare")


def sentences(seed: int = 0, count: int = 400) -> list[list[str]]:
    """From a random Markov chain, so that some n-grams are frequent and many are not."""
    rng = np.random.default_rng(seed)
    chain = rng.dirichlet(np.full(len(WORDS), 0.3), len(WORDS))
    made = []
    for _ in range(count):
        word, sentence = int(rng.integers(len(WORDS))), []
        for _ in range(int(rng.integers(1, 9))):
            sentence.append(WORDS[word])
            word = int(rng.choice(len(WORDS), p=chain[word]))
        made.append(sentence)
    return [*made, ["once"], ["rare", "twice"]]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer([" ".join(s) for s in sentences()], 40)


@pytest.fixture(scope="module")
def whole() -> NgramModel:
    return estimate(sentences(), bigram_gain=-1e9, trigram_gain=-1e9)


@pytest.fixture(scope="module")
def pruned() -> NgramModel:
    return estimate(sentences(), bigram_gain=1.0, trigram_gain=2.0)


def contexts(model: NgramModel) -> list[list[int]]:
    numbers = [UNKNOWN, START, *range(2, 6)]
    return [[], *([n] for n in numbers), *([a, b] for a, b in itertools.product(numbers, numbers[2:]))]


@pytest.mark.parametrize("name", ["whole", "pruned"])
def test_probabilities_sum_to_one(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    for before in contexts(model):
        total = sum(np.exp(model.log_prob(word, before)) for word in range(len(model.words)))
        assert total == pytest.approx(1.0, abs=1e-5), before


def test_a_frequent_trigram_is_as_kneser_and_ney_have_it(whole: NgramModel) -> None:
    """Written out for one trigram with plain counters: discounts, the share left, and the mixture down to unigrams."""
    numbers = {word: i for i, word in enumerate(whole.words)}
    rows = [["<s>", *(w if w in numbers else "<unk>" for w in s)] for s in sentences()]
    trigrams, bigrams = (
        Counter(tuple(r[i : i + n]) for r in rows for i in range(len(r) - n + 1)) for n in (3, 2)
    )  # fmt: skip
    before = {b: len({t[0] for t in trigrams if t[1:] == b}) or bigrams[b] for b in bigrams}
    single = Counter(b[1] for b in bigrams)

    def discounted(counts: dict, key: object, row: list) -> tuple[float, float]:
        n1, n2, n3, n4 = (sum(c == n for c in counts.values()) for n in (1, 2, 3, 4))
        y = n1 / max(1, n1 + 2 * n2)
        small = n1 and n2 and n3
        taken = (
            (0.0, 0.5, 0.5, 0.5) if not small else (0.0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
        )
        total = sum(counts[k] for k in row)
        return (counts[key] - taken[min(counts[key], 3)]) / total, sum(taken[min(counts[k], 3)] for k in row) / total

    (x, y, z), _ = next(t for t in trigrams.most_common() if t[0][0] != "<s>")
    p1, left1 = discounted(single, z, list(single))
    p1 += left1 / (len(whole.words) - 1)
    p2, left2 = discounted(before, (y, z), [b for b in before if b[0] == y])
    p3, left3 = discounted(trigrams, (x, y, z), [t for t in trigrams if t[:2] == (x, y)])
    expected = p3 + left3 * (p2 + left2 * p1)
    assert np.exp(whole.log_prob(numbers[z], [numbers[x], numbers[y]])) == pytest.approx(expected, rel=1e-9)


def test_pruning_leaves_fewer_and_loses_little(whole: NgramModel, pruned: NgramModel) -> None:
    assert 0 < len(pruned.trigram_words) < len(whole.trigram_words)
    assert 0 < len(pruned.bigram_words) < len(whole.bigram_words)
    numbers = {word: i for i, word in enumerate(whole.words)}

    def mean(model: NgramModel) -> float:
        rows = [[START, *(numbers.get(w, UNKNOWN) for w in s)] for s in sentences(count=100)]
        found = [model.log_prob(r[i], r[max(0, i - 2) : i]) for r in rows for i in range(1, len(r))]
        return float(np.mean(found))

    assert mean(whole) - 0.15 < mean(pruned) < mean(whole)


def test_rare_words_are_unknown(whole: NgramModel) -> None:
    assert whole.words[:2] == ("<unk>", "<s>") and "once" not in whole.words and set(WORDS) <= set(whole.words)
    assert whole.log_prob(START, []) == -np.inf


@pytest.mark.parametrize("text", [[], [[]]])
def test_without_words_there_is_no_model(text: list) -> None:
    with pytest.raises(AsrError, match="expected sentences with words, got none"):
        estimate(text)


def test_a_little_text_is_enough() -> None:
    model = estimate([["a", "b"]] * 3 + [["b"]])
    assert sum(np.exp(model.log_prob(word, [START])) for word in range(4)) == pytest.approx(1.0, abs=1e-6)
    assert model.words[2:] == ("b", "a")
    assert model.log_prob(2, [START, 3]) > model.log_prob(2, []) > model.log_prob(3, [START, 3])


def test_lines_of_one_word_are_enough() -> None:
    """A list of names or commands has no trigrams."""
    alone = estimate([["yes"], ["no"], ["yes"], ["stop"]], 1)
    for model in (alone, merged([alone, alone], [0.5, 0.5])):
        assert sum(np.exp(model.log_prob(word, [START])) for word in range(5)) == pytest.approx(1.0, abs=1e-6)
        assert model.log_prob(4, [START]) > model.log_prob(UNKNOWN, [START])


def test_the_lexicon_has_every_word_and_no_other(whole: NgramModel, tokenizer: Tokenizer) -> None:
    lexicon = build_lexicon(whole.words, whole.log_probs, tokenizer)

    def node_of(pieces: list[int]) -> int:
        node = ROOT
        for piece in pieces:
            slot = int(lexicon.base[node]) + piece
            if lexicon.owner[slot] != node:
                return OUTSIDE
            node = slot
        return node

    for number, word in enumerate(whole.words[2:], 2):
        node = node_of(tokenizer.encode(word))
        assert lexicon.word[node] == number
        assert lexicon.ahead[node] >= whole.log_probs[number] - 1e-5
    assert node_of(tokenizer.encode("zebra")) == OUTSIDE and lexicon.word[OUTSIDE] == -1
    begun = [node_of([piece]) for piece in range(len(tokenizer))]
    ahead = [lexicon.ahead[node] for node in begun if node != OUTSIDE]
    assert np.exp(ahead).sum() == pytest.approx(np.exp(whole.log_probs[2:]).sum(), rel=1e-5)


@pytest.mark.parametrize("text", ["the cat sat on the mat", "a rat ate heat", "the cat sat xylem on the mat", "tea"])
def test_the_search_pays_what_the_trigrams_say(pruned: NgramModel, tokenizer: Tokenizer, text: str) -> None:
    """Look-ahead and all, a sentence's pieces add up to its words; an unknown word pays its price."""
    prices = WordPrices(-9.0, -2.0, 0.5)
    lexicon = build_lexicon(pruned.words, pruned.log_probs, tokenizer)
    model = WordLanguageModel(pruned, lexicon, tokenizer, prices)
    state, total = model.initial_state(1), 0.0
    for piece in tokenizer.encode(text):
        log_probs = np.asarray(model.log_probs(state))
        assert log_probs.shape == (1, len(tokenizer))
        total += float(log_probs[0, piece])
        state = model.step(ops.convert_to_tensor([piece], "int32"), state)
    total += float(np.asarray(state["finish"])[0])
    numbers = {word: i for i, word in enumerate(pruned.words)}
    said, expected = [START], 0.0
    for word in text.split():
        number = numbers.get(word, UNKNOWN)
        expected += prices.word_bonus
        expected += pruned.log_prob(number, said[-2:]) if number else prices.outside + outside_pieces(word, tokenizer)
        said.append(number)
    assert total == pytest.approx(expected, abs=1e-3)


def outside_pieces(word: str, tokenizer: Tokenizer) -> float:
    """Prices of the pieces from the first on that no word of the lexicon goes on with."""
    pieces = [tokenizer.encode(w) for w in WORDS]
    spelt = tokenizer.encode(word)
    shared = max(len(list(itertools.takewhile(lambda p: p[0] == p[1], zip(spelt, w, strict=False)))) for w in pieces)
    return -2.0 * (len(spelt) - shared)


def test_words_begun_and_not_ended_pay_for_an_unknown_one(pruned: NgramModel, tokenizer: Tokenizer) -> None:
    model = WordLanguageModel(pruned, build_lexicon(pruned.words, pruned.log_probs, tokenizer), tokenizer)
    pieces = tokenizer.encode("xx")
    state = model.step(ops.convert_to_tensor(pieces[:1], "int32"), model.initial_state(1))
    first = float(np.asarray(model.log_probs(model.initial_state(1)))[0, pieces[0]])
    assert first + float(np.asarray(state["finish"])[0]) <= model.prices.outside + model.prices.word_bonus + 1e-4


@pytest.mark.parametrize("phrase", ["xylem", "the xylem", "hea", "hea tea", "cat", "cats mat", "xx cat yy"])
def test_words_of_phrases_cost_the_same_whether_known_or_not(
    pruned: NgramModel, tokenizer: Tokenizer, phrase: str
) -> None:
    """What the automaton adds to what the lexicon takes is the price of a phrase's word, for each unknown one."""
    prices, weight = WordPrices(-19.0, -2.0, 0.5), 0.7
    lexicon = build_lexicon(pruned.words, pruned.log_probs, tokenizer)
    model = WordLanguageModel(pruned, lexicon, tokenizer, prices)
    one = compile_phrases([phrase], tokenizer, 0.0, 64, model.phrase_words(weight))
    tables = stacked([no_phrases(len(tokenizer), 64), one], tokenizer)
    pieces = [*tokenizer.encode(f"sat {phrase}"), *tokenizer.encode("sat")]
    state, node, total, given = model.initial_state(1), np.array([0], np.int32), 0.0, []
    for piece in pieces:
        bonus, following = biased(tables, np.array([1], np.int32), node)
        given.append(float(np.asarray(bonus)[0, piece]))
        total += weight * float(np.asarray(model.log_probs(state))[0, piece]) + given[-1]
        label = ops.convert_to_tensor([piece], "int32")
        state, node = model.step(label, state), np.asarray(after(following, label))
    total += weight * float(np.asarray(state["finish"])[0])
    numbers = {word: i for i, word in enumerate(pruned.words)}
    said, expected = [START], 0.0
    for word in f"sat {phrase} sat".split():
        number = numbers.get(word, UNKNOWN)
        expected += prices.word_bonus + (pruned.log_prob(number, said[-2:]) if number else PHRASE_WORD)
        said.append(number)
    assert total == pytest.approx(weight * expected, abs=1e-3)
    assert any(given) == any(word not in numbers for word in phrase.split())


def test_another_unknown_word_than_the_phrases_pays_in_full(pruned: NgramModel, tokenizer: Tokenizer) -> None:
    lexicon = build_lexicon(pruned.words, pruned.log_probs, tokenizer)
    words = WordLanguageModel(pruned, lexicon, tokenizer).phrase_words(0.7)
    one = compile_phrases(["xylem"], tokenizer, 0.0, 64, words)
    tables = stacked([no_phrases(len(tokenizer), 64), one], tokenizer)
    node, given = np.array([0], np.int32), []
    for piece in [*tokenizer.encode("xylems"), *tokenizer.encode("sat")]:
        bonus, following = biased(tables, np.array([1], np.int32), node)
        given.append(float(np.asarray(bonus)[0, piece]))
        node = np.asarray(after(following, ops.convert_to_tensor([piece], "int32")))
    assert max(given) > 4.0 and sum(given) == pytest.approx(0.0, abs=1e-5)


def test_a_cheap_unknown_word_gets_nothing_back_for_itself(pruned: NgramModel, tokenizer: Tokenizer) -> None:
    lexicon = build_lexicon(pruned.words, pruned.log_probs, tokenizer)
    words = WordLanguageModel(pruned, lexicon, tokenizer, WordPrices(PHRASE_WORD + 3.0, 0.0)).phrase_words(0.7)
    assert not compile_phrases(["xylem"], tokenizer, 0.0, 64, words).pending.any()


def test_searches_say_what_words_of_phrases_get_back(pruned: NgramModel, model_folder: Path, tmp_path: Path) -> None:
    """Only those with words that count; the recogniser's lists have it."""
    transducer, tokenizer = load_model(model_folder)
    lexicon = build_lexicon(pruned.words, pruned.log_probs, tokenizer)
    words = WordLanguageModel(pruned, lexicon, tokenizer)
    assert BeamSearch(transducer, BeamConfig(2, lm_weight=0.5), words).phrase_words == words.phrase_words(0.5)
    assert BeamSearch(transducer, BeamConfig(2), words).phrase_words is None
    assert BeamSearch(transducer, BeamConfig(2, lm_weight=0.5)).phrase_words is None
    recurrent = RecurrentLanguageModel(LanguageConfig(len(tokenizer), 4, 4))
    assert BeamSearch(transducer, BeamConfig(2, lm_weight=0.5), recurrent).phrase_words is None

    from asr.streaming.recognizer import Recognizer

    folder = tmp_path / "model"
    copytree(model_folder, folder)
    save_words(folder / NAME, pruned, lexicon, tokenizer, FusionWeights(0.5, 0.0, 1.0))
    largest = []
    for weight in (0.5, 0.0):
        recognizer = Recognizer(folder, 640, beam=4, lm_weight=weight, phrase_weight=0.0)
        recognizer.stream(["xylem"])
        largest.append(float(np.max(recognizer._phrases.tables.pending)))
    assert largest[0] > 4.0 and largest[1] == 0.0


def test_a_file_keeps_it(pruned: NgramModel, tokenizer: Tokenizer, tmp_path: Path) -> None:
    lexicon = build_lexicon(pruned.words, pruned.log_probs, tokenizer)
    save_words(tmp_path / NAME, pruned, lexicon, tokenizer, FusionWeights(0.2, 0.1, 0.7), WordPrices(-8.0))
    found, spelt, _ = read_words(tmp_path / NAME, tokenizer)
    assert found.words == pruned.words
    for name in ("bigram_starts", "bigram_words", "trigram_starts", "trigram_words"):
        np.testing.assert_array_equal(getattr(found, name), getattr(pruned, name))
    for name in ("log_probs", "backoffs", "bigram_log_probs", "bigram_backoffs", "trigram_log_probs"):
        finite = np.isfinite(getattr(pruned, name))
        np.testing.assert_allclose(getattr(found, name)[finite], getattr(pruned, name)[finite], atol=0.03)
    for name in ("base", "owner", "word"):
        np.testing.assert_array_equal(getattr(spelt, name), getattr(lexicon, name))
    np.testing.assert_allclose(spelt.ahead, lexicon.ahead, atol=0.01)
    model, fusion = load_words(tmp_path / NAME, tokenizer)
    assert fusion == FusionWeights(0.2, 0.1, 0.7) and model.prices == WordPrices(-8.0)


def test_a_file_of_the_first_format_gives_the_same(pruned: NgramModel, tokenizer: Tokenizer, tmp_path: Path) -> None:
    lexicon = build_lexicon(pruned.words, pruned.log_probs, tokenizer)
    save_words(tmp_path / NAME, pruned, lexicon, tokenizer)
    arrays, meta = load_arrays(tmp_path / NAME)
    first = {name: np.frombuffer(lzma.compress(zlib.decompress(x.tobytes())), np.uint8) for name, x in arrays.items()}
    save_arrays(tmp_path / "first.npz", first, meta | {"format": 1})
    found, spelt, _ = read_words(tmp_path / "first.npz", tokenizer)
    expected, lexicon, _ = read_words(tmp_path / NAME, tokenizer)
    for one, other in ((found, expected), (spelt, lexicon)):
        for field in dataclasses.fields(one):
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


def test_a_file_of_another_kind_is_refused(pruned: NgramModel, tokenizer: Tokenizer, tmp_path: Path) -> None:
    path = tmp_path / NAME
    save_words(path, pruned, build_lexicon(pruned.words, pruned.log_probs, tokenizer), tokenizer)
    with pytest.raises(CheckpointError, match="got some for another"):
        load_words(path, train_tokenizer([" ".join(s) for s in sentences()], 35))
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    damaged = {**arrays, "trigram_words": arrays["trigram_words"][:20]}
    damaged.pop("meta")
    save_arrays(path, damaged, read_meta(arrays))
    with pytest.raises(CheckpointError, match="got a damaged file"):
        load_words(path, tokenizer)
    save_arrays(path, {}, {"step": 1})
    with pytest.raises(CheckpointError, match="expected word trigrams of format 2 or before"):
        load_words(path, tokenizer)


def read_meta(arrays: dict) -> dict:
    import json

    return json.loads(arrays["meta"].tobytes())


def test_a_folder_with_words_is_searched_with_them(model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    copytree(model_folder, folder)
    (tmp_path / "text.txt").write_text("\n".join(" ".join(s) for s in sentences()), encoding="utf-8")
    said = train_words_command(Sources([tmp_path / "text.txt"]), folder, 2, 1.0, 2.0)
    assert said.startswith(f"{folder / NAME}: 13 words, ")
    transducer, tokenizer = load_model(folder)
    search = make_search(folder, transducer, tokenizer, 4)
    assert search is not None and isinstance(search.language_model, WordLanguageModel)
    assert search.config == BeamConfig(4, FUSION.lm_weight, FUSION.label_bonus, FUSION.ilm_weight)
    frames = transducer.joint.frames(ops.convert_to_tensor(np.ones((2, 8, 32), np.float32)))
    state, out = search.block(frames, search.initial_state(2), ops.ones((2,), "bool"), 0.0)
    assert np.asarray(out["scores"]).shape == (2, 4)
    assert state["hypotheses"]["language"]["node"].shape == (2, 4)


def test_a_strong_language_model_keeps_the_beam_in_its_lexicon(
    model_folder: Path, tmp_path: Path, make_audio: Callable
) -> None:
    """A model of random weights says no words; with the lexicon's prices very high it says nothing else."""
    from asr.streaming.recognizer import Recognizer

    folder = tmp_path / "model"
    copytree(model_folder, folder)
    _, tokenizer = load_model(folder)
    ngrams = estimate(sentences())
    lexicon = build_lexicon(ngrams.words, ngrams.log_probs, tokenizer)
    fusion, prices = FusionWeights(1.0, 0.0, 12.0), WordPrices(-60.0, -60.0, 0.0)
    save_words(folder / NAME, ngrams, lexicon, tokenizer, fusion, prices)
    words = Recognizer(folder, 640, beam=4).transcribe(make_audio(4.0, 1)).text.split()
    assert len(words) > 3 and set(words[:-1]) <= set(ngrams.words)
    greedy = Recognizer(folder, 640).transcribe(make_audio(4.0, 1)).text.split()
    assert not set(greedy) <= set(ngrams.words)
