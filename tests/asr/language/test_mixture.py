"""Language models of others, and mixtures: read as written, shares as they must be, probabilities that sum to one."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from asr.errors import AsrError
from asr.language import sphinx
from asr.language.imported import read_arpa, read_counts
from asr.language.mixture import EXPECTED, merged, mixture_weights
from asr.language.ngrams import START, UNKNOWN, NgramModel, estimate
from asr.language.word_command import Sources, train_words_command
from asr.language.word_files import NAME, read_words
from asr.tokenizer import read_tokenizer, train_tokenizer

ARPA = """\\data\\
ngram 1=6
ngram 2=3
ngram 3=1

\\1-grams:
-99\t<s>\t-0.5
-1.0\t<unk>
-1.0\t</s>
-0.5\tcat\t-0.2
-0.6\tsat\t-0.3
-0.7\tx-ray

\\2-grams:
-0.1\t<s>\tcat\t-0.4
-0.2\tcat\tsat\t0.0
-0.3\tsat\t</s>

\\3-grams:
-0.05\t<s>\tcat\tsat

\\end\\
"""


def texts(words: str, seed: int, count: int = 300) -> list[list[str]]:
    """Sentences of a random Markov chain over these words."""
    rng = np.random.default_rng(seed)
    names = words.split()
    chain = rng.dirichlet(np.full(len(names), 0.4), len(names))
    made = []
    for _ in range(count):
        word, sentence = int(rng.integers(len(names))), []
        for _ in range(int(rng.integers(1, 8))):
            sentence.append(names[word])
            word = int(rng.choice(len(names), p=chain[word]))
        made.append(sentence)
    return made


@pytest.fixture(scope="module")
def pair() -> list[NgramModel]:
    """Two models that share some words."""
    return [
        estimate(texts("the cat sat on a mat", 1), 1, -1e9, -1e9),
        estimate(texts("a mat is an island of straw", 2), 1, -1e9, -1e9),
    ]


def probability(model: NgramModel, word: str, before: list[str]) -> float:
    numbers = {text: i for i, text in enumerate(model.words)} | {"<s>": START}
    if word not in numbers:
        return 0.0
    return float(np.exp(model.log_prob(numbers[word], [numbers.get(text, UNKNOWN) for text in before])))


def test_arpa_is_read_as_it_is_written(tmp_path: Path) -> None:
    for name, content in (("m.arpa", ARPA.encode()), ("m.arpa.gz", gzip.compress(ARPA.encode()))):
        path = tmp_path / name
        path.write_bytes(content)
        model = read_arpa(path)
        assert model.words == ("<unk>", "<s>", "cat", "sat")
        assert model.log_prob(UNKNOWN, []) == -np.inf
        expected = {
            ("cat", ("<s>",)): -0.1,
            ("sat", ("<s>", "cat")): -0.05,
            ("sat", ("cat", "cat")): -0.2 - 0.6 + 0.6,  # no bigram: that after one word
            ("cat", ("<s>", "cat")): -0.4 - 0.2 - 0.5,
            ("cat", ("sat",)): -0.3 - 0.5,
        }
        for (word, before), log_10 in expected.items():
            assert probability(model, word, list(before)) == pytest.approx(10**log_10, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "expected an ARPA file with words"),
        (ARPA.replace("-0.2\tcat", "x\tcat"), r"line 16: expected a number, 2 words and perhaps a number, got 'x"),
        (ARPA.replace("-0.05\t<s>\tcat\tsat", "-0.05\tcat"), "line 20: expected a number, 3 words"),
    ],
)
def test_a_file_that_is_no_arpa_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.arpa"
    path.write_text(text)
    with pytest.raises(AsrError, match=message):
        read_arpa(path)
    with pytest.raises(AsrError, match="expected a text file of n-grams"):
        read_arpa(tmp_path / "missing.arpa")


def test_words_are_spelt_as_transcripts_are(tmp_path: Path) -> None:
    """Titles are written out, apostrophes at edges go; of two spellings the likeliest stays, with its rows."""
    lines = (
        "\\data\\\n\n\\1-grams:\n-0.5\tmr\t-0.2\n-2.0\tmister\t-0.9\n-0.7\t'tis\n-0.9\tfox\n-0.9\ta''b\n\n"
        "\\2-grams:\n-0.1\tmr\tfox\t0.0\n-0.3\tmister\tfox\t0.0\n"
        "-0.4\t'tis\tmr\t0.0\n-0.6\t'tis\tmister\t0.0\n\n"
        "\\3-grams:\n-0.05\t'tis\tmr\tfox\n\n\\end\\\n"
    )
    (tmp_path / "m.arpa").write_text(lines)
    model = read_arpa(tmp_path / "m.arpa")
    assert model.words == ("<unk>", "<s>", "fox", "mister", "tis")
    assert probability(model, "mister", []) == pytest.approx(10**-0.5)
    assert probability(model, "fox", ["mister"]) == pytest.approx(10**-0.1)
    assert probability(model, "tis", ["mister"]) == pytest.approx(10 ** (-0.2 - 0.7))
    assert probability(model, "mister", ["tis"]) == pytest.approx(10**-0.4)
    assert probability(model, "fox", ["tis", "mister"]) == pytest.approx(10**-0.05)
    (tmp_path / "one.txt").write_text("mr\t30\nmister\t10\nfox\t60\na''b\t5\n")
    (tmp_path / "two.txt").write_text("mr fox\t6\nmister fox\t4\n")
    counted = read_counts([tmp_path / "one.txt", tmp_path / "two.txt"])
    assert probability(counted, "mister", []) == pytest.approx(0.4)
    assert probability(counted, "fox", ["mister"]) == pytest.approx(0.25)


def test_counts_are_shares_of_the_first_word(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("the\t60\ncat\t30\nsat\t10\nx-ray\t1000\nrare\t1\n")
    (tmp_path / "two.txt").write_text("the cat\t30\ncat sat\t40\nthe rare\t9\n")  # more than there are cats
    model = read_counts([tmp_path / "one.txt", tmp_path / "two.txt"], most_words=3)
    assert model.words[2:] == ("cat", "sat", "the")
    assert probability(model, "the", []) == pytest.approx(0.6)
    assert probability(model, "cat", ["the"]) == pytest.approx(0.5)
    assert probability(model, "sat", ["cat"]) == pytest.approx(0.99)
    for word in ("the", "cat", "sat"):
        assert sum(probability(model, other, [word]) for other in model.words[2:]) == pytest.approx(1.0)
    (tmp_path / "bad.txt").write_text("the 60\n")
    with pytest.raises(AsrError, match=r"bad.txt, line 1: expected words, a tab and a count, got 'the 60'"):
        read_counts([tmp_path / "bad.txt"])
    with pytest.raises(AsrError, match="expected lists of counts with single words"):
        read_counts([tmp_path / "two.txt"])


def bits(rows: list[list[int]], widths: list[int]) -> bytes:
    """Rows of fields, the lowest bit first, and one row of zeros."""
    value, place = 0, 0
    for row in rows:
        for field, width in zip(row, widths, strict=True):
            value |= field << place
            place += width
    return value.to_bytes(((len(rows) + 1) * sum(widths) + 7) // 8 + 8, "little")


def sphinx_file() -> bytes:
    """<s> cat sat, of three words, two bigrams and a trigram; unit of logarithms: 1.0001."""
    unit = float(np.log(10) / np.log(1.0001))
    tables = np.zeros((3, 1 << 16), "<f4")
    tables[0, 5], tables[0, 6] = -0.1 * unit, -0.2 * unit  # of bigrams, then their backoffs, then of trigrams
    tables[1, 7] = -0.4 * unit
    tables[2, 9] = -0.05 * unit
    words = [b"<s>", b"cat", b"sat", b"</s>"]
    singles = [(-99 * unit, -0.5 * unit, 0), (-0.5 * unit, -0.2 * unit, 0), (-0.6 * unit, -0.3 * unit, 1)]
    singles += [(-1.0 * unit, 0.0, 2), (0.0, 0.0, 2)]
    # below a word those before it: cat after <s>, sat after cat; that after <s>
    pairs = [[0, 7, 5, 0], [1, 0, 6, 0], [0, 0, 0, 1]]
    content = sphinx.HEADER + bytes([3]) + struct.pack("<3I", 4, 2, 1) + struct.pack("<I", 1) + tables.tobytes()
    content += b"".join(struct.pack("<ffI", *row) for row in singles)
    content += bits(pairs, [3, 16, 16, 1])[: ((3 * 36) + 7) // 8 + 8] + bits([[0, 9]], [3, 16])
    texts_ = b"\0".join(words) + b"\0"
    return content + struct.pack("<I", len(texts_)) + texts_


def test_sphinx_is_read_bit_by_bit(tmp_path: Path) -> None:
    path = tmp_path / "m.lm.bin"
    path.write_bytes(sphinx_file())
    assert sphinx.is_sphinx(path)
    model = sphinx.read(path)
    assert model.words == ("<unk>", "<s>", "cat", "sat")
    expected = {
        ("cat", ("<s>",)): -0.1,
        ("sat", ("<s>", "cat")): -0.05,
        ("sat", ("cat",)): -0.2,
        ("cat", ("sat",)): -0.8,
    }
    for (word, before), log_10 in expected.items():
        assert probability(model, word, list(before)) == pytest.approx(10**log_10, rel=1e-4)


def test_a_damaged_sphinx_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.lm.bin"
    whole = sphinx_file()
    for content in (whole[:1000], whole[:-8], b"Darpa Trigram LM", sphinx.HEADER + b"\x02" + whole[20:]):
        path.write_bytes(content)
        with pytest.raises(AsrError, match="expected a trigram model of CMU Sphinx in its binary format"):
            sphinx.read(path)
    assert not sphinx.is_sphinx(tmp_path / "missing")


def test_shares_are_those_of_the_text(pair: list[NgramModel]) -> None:
    """A text drawn from both by halves gives each about half; one of one model gives it all."""
    both = texts("the cat sat on a mat", 1) + texts("a mat is an island of straw", 2)
    shares = mixture_weights(pair, both)
    assert shares.sum() == pytest.approx(1.0) and abs(shares[0] - 0.5) < 0.1
    assert mixture_weights(pair, texts("the cat sat on a mat", 1))[0] > 0.95
    with pytest.raises(AsrError, match="expected held-out sentences with words that some language model knows"):
        mixture_weights(pair, [["xylem"]])


def test_merged_n_grams_have_the_mixtures_probability(pair: list[NgramModel]) -> None:
    """Every n-gram of either model; what stands after any two words sums to one."""
    model = merged(pair, [0.7, 0.3], -1e9, -1e9)
    assert set(model.words) == set(pair[0].words) | set(pair[1].words)
    words = list(model.words[2:])
    checked = 0
    for part in pair:
        for a in range(len(part.words)):
            for k in range(part.bigram_starts[a], part.bigram_starts[a + 1]):
                b = part.bigram_words[k]
                for c in part.trigram_words[part.trigram_starts[k] : part.trigram_starts[k + 1]]:
                    gram = [part.words[i] for i in (a, b, c)]
                    mixed = 0.7 * probability(pair[0], gram[2], gram[:2]) + 0.3 * probability(
                        pair[1], gram[2], gram[:2]
                    )
                    assert probability(model, gram[2], gram[:2]) == pytest.approx(mixed, rel=1e-6)
                    checked += 1
    assert checked > 100
    for before in (["<s>"], ["the", "cat"], ["a", "mat"], ["straw", "the"], ["<s>", "island"]):
        total = sum(probability(model, word, before) for word in [*words, "<unk>"])
        assert total == pytest.approx(1.0, abs=0.02)  # less what a model gives to words that it does not know


def test_pruning_keeps_what_gains_most(pair: list[NgramModel]) -> None:
    whole, small = merged(pair, [0.5, 0.5], -1e9, -1e9), merged(pair, [0.5, 0.5], 1e-3 * EXPECTED, 1e-3 * EXPECTED)
    assert 0 < len(small.bigram_words) < len(whole.bigram_words)
    assert len(small.trigram_words) < len(whole.trigram_words)
    held_out = texts("the cat sat on a mat", 1) + texts("a mat is an island of straw", 2)

    def log_prob(model: NgramModel) -> float:
        return sum(
            float(np.log(probability(model, word, ["<s>", *sentence][max(0, i - 1) : i + 1])))
            for sentence in held_out
            for i, word in enumerate(sentence)
        )

    single = merged(pair, [0.5, 0.5], 1e9, 1e9)
    assert not len(single.bigram_words)
    assert log_prob(whole) > log_prob(small) > log_prob(single)


def test_the_command_mixes_all_sources(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.txt").write_text("\n".join(" ".join(s) for s in texts("the cat sat on a mat", 1)))
    (tmp_path / "held.txt").write_text("\n".join(" ".join(s) for s in texts("the cat sat on a mat", 1, 50)))
    (tmp_path / "m.arpa").write_text(ARPA)
    (tmp_path / "m.bin").write_bytes(sphinx_file())
    (tmp_path / "counts.txt").write_text("the\t60\nisland\t30\n")
    tokenizer = train_tokenizer(["the cat sat on a mat is an island of straw"] * 4, 40)
    (tmp_path / "tokenizer.model").write_bytes(tokenizer.model)
    sources = Sources([tmp_path / "a.txt"], [tmp_path / "m.arpa", tmp_path / "m.bin"], [tmp_path / "counts.txt"])
    with pytest.raises(AsrError, match="expected held-out sentences, which tell the share of each"):
        train_words_command(sources, tmp_path, 1, 0.0, 0.0)
    with caplog.at_level("INFO"):
        said = train_words_command(
            Sources(sources.texts, sources.ngrams, sources.counts, tmp_path / "held.txt"), tmp_path, 1, 0.0, 0.0
        )
    assert "7 words" in said and "shares: " in caplog.text
    model, lexicon, _ = read_words(tmp_path / NAME, read_tokenizer(tmp_path / "tokenizer.model"))
    assert set(model.words) == {"<unk>", "<s>", "the", "cat", "sat", "on", "a", "mat", "island"}
    assert lexicon.word.max() == len(model.words) - 1
