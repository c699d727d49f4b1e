"""The network over words learns, its logits are log-probabilities, it is kept on disk; text as trigrams say it."""

import lzma
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from keras import ops

from asr.cli import main
from asr.config import from_dict
from asr.errors import AsrError, CheckpointError, ConfigError
from asr.language.config import NextWordConfig, NextWordTrainConfig, TextConfig
from asr.language.next_word_files import NAME, load_next_words, save_next_words
from asr.language.next_word_model import NextWordModel
from asr.language.next_word_trainer import NextWordTrainer, common_words
from asr.language.ngrams import START, UNKNOWN, estimate
from asr.language.sampling import sample_words_command, sampled
from asr.language.word_command import Sources, train_words_command
from asr.tokenizer import train_tokenizer
from asr.training.checkpoint import save_arrays, weights_of

TEXT = ["the cat sat on the mat", "a rat ate the hat then", "some tea is hot at noon", "she sat in the sea"] * 40
WORDS = 14
ARPA = """\\data\\
ngram 1=4
ngram 2=3
ngram 3=1

\\1-grams:
-99\t<s>\t-0.3
-0.5\tcat\t-0.2
-0.4\tsat\t-0.1
-0.6\tmat

\\2-grams:
-0.2\t<s>\tcat\t-0.3
-0.3\tcat\tsat\t-0.2
-0.7\tcat\tmat

\\3-grams:
-0.1\t<s>\tcat\tsat

\\end\\
"""


@pytest.fixture
def toy(tmp_path: Path) -> NextWordTrainConfig:
    """A folder with words and a text, and how to learn from it."""
    tokenizer = train_tokenizer(TEXT, 30)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "tokenizer.model").write_bytes(tokenizer.model)
    (tmp_path / "text.txt").write_text("\n".join(TEXT))
    train_words_command(Sources([tmp_path / "text.txt"]), tmp_path / "model", 1, 0.0, 0.0)
    return NextWordTrainConfig(
        texts=(TextConfig("text.txt", 2),),
        held_out=8,
        steps=60,
        rows=8,
        row_labels=16,
        learning_rate=0.02,
        warmup=4,
        log_steps=20,
        model=NextWordConfig(WORDS, 16, 24, 0.0),
        folder="model",
        min_count=2,
        negatives=64,
        normaliser=1.0,
    )


def test_drawn_words_stand_for_all() -> None:
    """With every word drawn once the loss is the softmax's; drawn as often as expected it is so on average."""
    rng = np.random.default_rng(3)
    model = NextWordModel(NextWordConfig(9, 4, 5), dtype="float32")
    model.embedding.assign(rng.normal(0, 1, (10, 4)))
    model.output_bias.assign(rng.normal(0, 1, 9))
    hidden, targets = rng.normal(0, 1, (6, 4)).astype(np.float32), np.array([0, 1, 1, 5, 8, 3], np.int32)
    logits = np.asarray(model.logits(hidden))
    expected = np.asarray(ops.logsumexp(logits, axis=-1))
    nats, total = model.sampled_loss(hidden, targets, np.arange(9, dtype=np.int32), np.zeros(9, np.float32))
    np.testing.assert_allclose(total, expected, atol=1e-5)
    np.testing.assert_allclose(nats, expected - logits[np.arange(6), targets], atol=1e-5)
    probs = rng.dirichlet(np.full(9, 3.0))
    drawn = rng.choice(9, 40_000, p=probs).astype(np.int32)
    _, total = model.sampled_loss(hidden, targets, drawn, np.log(probs[drawn] * len(drawn)).astype(np.float32))
    np.testing.assert_allclose(total, expected, atol=0.06)


def test_it_learns_and_resumes(toy: NextWordTrainConfig, tmp_path: Path) -> None:
    """Its logits become log-probabilities; what is written says what was trained; a run goes on where it stopped."""
    trainer = NextWordTrainer(toy, tmp_path, tmp_path / "run")
    before = trainer.evaluate()
    trainer.train(until=0.0)
    assert trainer.step == 0
    trainer.train()
    after = trainer.evaluate()
    assert after["nats_per_word"] < 0.4 * before["nats_per_word"]
    assert after["word_perplexity"] == pytest.approx(np.exp(after["nats_per_word"]))
    assert abs(after["log_sum_mean"]) < 0.15 and after["log_sum_deviation"] < 0.3
    again = NextWordTrainer(toy, tmp_path, tmp_path / "run")
    assert again.step == 60
    assert again.evaluate() == pytest.approx(after, rel=1e-3, abs=1e-3)
    ours = ["never", "cat", *trainer.words.words[2:]]
    found = load_next_words(tmp_path / "run" / NAME, ours, 0.3)
    assert found.weight == np.float32(0.3)
    assert found.number.tolist() == [0, trainer.words.encode("cat")[0], *range(2, WORDS)]
    weights = {path.rsplit("/", 1)[-1]: value for path, value in weights_of(trainer.network.variables).items()}
    for name, axis in (("embedding", 1), ("kernel", 0), ("recurrent", 0), ("hidden", 0)):
        scale = getattr(found, f"{name}_scale")
        kept = getattr(found, name) * (scale[:, None] if axis else scale)
        np.testing.assert_allclose(kept, weights[name], atol=0.51 * float(scale.max()))
    for name in ("input_bias", "bias", "hidden_bias", "output_bias"):
        np.testing.assert_allclose(getattr(found, name), weights[name], atol=2e-2)


def test_it_starts_from_another(toy: NextWordTrainConfig, tmp_path: Path) -> None:
    """What both know begins as it was learnt; a word of its own begins anew; other sizes are refused."""
    learnt = NextWordTrainer(toy, tmp_path, tmp_path / "run")
    learnt.train()
    lines = [*TEXT, *["wept", "the cat wept on the mat"] * 80]
    (tmp_path / "text.txt").write_text("\n".join(lines))
    train_words_command(Sources([tmp_path / "text.txt"]), tmp_path / "model", 1, 0.0, 0.0)
    new = replace(toy, start_from=f"run/{NAME}", model=replace(toy.model, words=WORDS + 1))
    trainer = NextWordTrainer(new, tmp_path, tmp_path / "again")
    mine, theirs = trainer.words.encode("cat mat wept"), learnt.words.encode("cat mat wept")
    assert theirs[2] == 0 < mine[2]
    step = 0.51 * np.abs(learnt.network.embedding).max() / 127
    now, before = np.asarray(trainer.network.embedding), np.asarray(learnt.network.embedding)
    np.testing.assert_allclose(now[[0, *mine[:2], -1]], before[[0, *theirs[:2], -1]], atol=step)
    np.testing.assert_allclose(trainer.network.recurrent, learnt.network.recurrent, atol=step * 8)
    np.testing.assert_allclose(trainer.network.bias, learnt.network.bias, atol=2e-2)
    assert trainer.step == 0
    fresh = NextWordTrainer(replace(new, start_from=""), tmp_path, tmp_path / "fresh")
    assert trainer.evaluate()["nats_per_word"] < 0.6 * fresh.evaluate()["nats_per_word"]
    other = replace(new, model=replace(new.model, dim=12))
    with pytest.raises(ConfigError, match="start_from: expected a network with width 16 and dim 12, got 16 and 24"):
        NextWordTrainer(other, tmp_path, tmp_path / "other")
    with pytest.raises(CheckpointError, match="missing"):
        NextWordTrainer(replace(new, start_from="missing.npz"), tmp_path, tmp_path / "none")


def test_another_texts_run_is_refused(toy: NextWordTrainConfig, tmp_path: Path) -> None:
    """A run is bound to its words."""
    NextWordTrainer(toy, tmp_path, tmp_path / "run").save()
    (tmp_path / "text.txt").write_text("\n".join(TEXT).replace("the ", "a "))
    with pytest.raises(CheckpointError, match="expected a run with this words"):
        NextWordTrainer(toy, tmp_path, tmp_path / "run")


def test_it_knows_the_likeliest_words_that_the_texts_have() -> None:
    """Rare ones and those that the trigrams lack are unknown; so are words that only the trigrams have."""
    ngrams = estimate([line.split() for line in ["a b c d", "a b c", "a b e", "f f f f"]], 1, -1e9, -1e9)
    words = common_words(["a b c x x x", "b c a d", "c e e"], ngrams, 9, 2)
    assert set(words.words) == {"<unk>", "a", "b", "c", "e"} and words.words[0] == "<unk>"
    assert words.encode("x a d <s>") == [0, words.words.index("a"), 0, 0]
    assert len(common_words(["a b c", "a b c"], ngrams, 3, 2)) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "texts: expected one or more"),
        ({"texts": [{"path": "a"}]}, "folder: expected a model folder"),
        ({"texts": [{"path": "a"}], "folder": "m", "negatives": 0}, "negatives: expected more than 0"),
        ({"texts": [{"path": "a"}], "folder": "m", "normaliser": -1.0}, "normaliser: expected a number of 0 or more"),
        ({"model": {"words": 1}}, "words: expected 2 to 32000, got 1"),
        ({"model": {"dim": 0}}, "dim: expected more than 0"),
        ({"model": {"dropout": 1.0}}, "dropout: expected 0 or more and less than 1"),
    ],
)
def test_a_wrong_configuration_is_refused(values: dict, message: str) -> None:
    """Naming the key."""
    with pytest.raises(ConfigError, match=message):
        from_dict(NextWordTrainConfig, values)


def test_too_few_words_are_refused(toy: NextWordTrainConfig, tmp_path: Path) -> None:
    """With how many there are."""
    values = {**toy.__dict__, "model": NextWordConfig(100, 8, 8)}
    with pytest.raises(ConfigError, match=r"words: expected 100 words, got only \d+ that words.npz has"):
        NextWordTrainer(NextWordTrainConfig(**values), tmp_path, tmp_path / "run")


def test_a_damaged_or_strange_file_is_refused(tmp_path: Path) -> None:
    """Missing, of another layout, cut short, of other sizes, of words that nobody here says."""
    path = tmp_path / NAME
    with pytest.raises(CheckpointError, match=NAME):
        load_next_words(path, ["<unk>", "a"], 0.5)
    save_arrays(path, {}, {"format": 7})
    with pytest.raises(CheckpointError, match="expected a network over words of format 1"):
        load_next_words(path, ["<unk>", "a"], 0.5)
    model = NextWordModel(NextWordConfig(3, 4, 5), dtype="float32")
    save_next_words(path, ["<unk>", "a", "b"], weights_of(model.variables))
    assert load_next_words(path, ["b", "x", "a"], 0.5).number.tolist() == [2, 0, 1]
    with pytest.raises(CheckpointError, match="knows words of the trigrams beside it"):
        load_next_words(path, ["x", "y"], 0.5)
    with np.load(path) as stored:
        arrays = dict(stored)
    for name, value in (
        ("kernel", np.frombuffer(zlib.compress(b"\0" * 7), np.uint8)),
        ("recurrent", arrays["recurrent"][:-4]),
        ("output_bias", np.zeros(2, np.float16)),
        ("words", np.frombuffer(zlib.compress(b"a\nb\nc"), np.uint8)),
    ):
        np.savez(path, **{**arrays, name: value})
        with pytest.raises(CheckpointError, match="got a damaged file"):
            load_next_words(path, ["b", "x", "a"], 0.5)


def test_sampled_text_is_as_likely_as_the_trigrams_say(tmp_path: Path) -> None:
    """Words after the start, after one word and after two, trigram or not."""
    texts = ["a b c", "a b d", "b a c c", "d a b c", "c c b"]
    ngrams = estimate([line.split() for line in texts], 1, -1e9, -1e9)
    lines = [line.split() for line in sampled(ngrams, np.full(60_000, 3), 3)]
    numbers = {word: i for i, word in enumerate(ngrams.words)}
    for before in ([], ["a"], ["b"], ["a", "b"], ["d", "d"], ["c", "c"]):
        rows = [line for line in lines if line[: len(before)] == before]
        counts = Counter(line[len(before)] for line in rows)
        said = [START, *(numbers[word] for word in before)]
        probs = {w: np.exp(ngrams.log_prob(n, said[-2:])) for w, n in numbers.items() if n not in (START, UNKNOWN)}
        total = sum(probs.values())  # the unknown word is not drawn
        for word, prob in probs.items():
            spread = 4.5 * np.sqrt(prob / total / len(rows)) + 0.02
            assert counts[word] / len(rows) == pytest.approx(prob / total, abs=spread), (before, word)


def test_sampled_text_is_written(tmp_path: Path) -> None:
    """From an ARPA file, packed or not, the same for the same seed; a range that is none is refused."""
    (tmp_path / "lm.arpa").write_text(ARPA)
    told = sample_words_command(tmp_path / "lm.arpa", tmp_path / "text.txt.xz", 50, (2, 4), 1)
    assert "50 sentences" in told
    lines = lzma.decompress((tmp_path / "text.txt.xz").read_bytes()).decode().splitlines()
    assert len(lines) == 50 and {len(line.split()) for line in lines} == {2, 3, 4}
    assert {word for line in lines for word in line.split()} <= {"cat", "sat", "mat"}
    sample_words_command(tmp_path / "lm.arpa", tmp_path / "text.txt", 50, (2, 4), 1)
    assert (tmp_path / "text.txt").read_text().splitlines() == lines
    with pytest.raises(AsrError, match="words: expected a range of 1 or more, got 4 to 2"):
        sample_words_command(tmp_path / "lm.arpa", tmp_path / "text.txt", 50, (4, 2), 1)
    with pytest.raises(AsrError, match="No such file"):
        sample_words_command(tmp_path / "lm.arpa", tmp_path / "none" / "text.txt", 5, (2, 4), 1)


def test_the_commands_make_a_text_and_a_network(toy: NextWordTrainConfig, tmp_path: Path) -> None:
    """Sentences drawn from trigrams, and a network that learnt from them and from a text, as the guide says."""
    (tmp_path / "lm.arpa").write_text(ARPA)
    sample = ["sample-words", str(tmp_path / "lm.arpa"), str(tmp_path / "sampled.txt.xz"), "--sentences", "40"]
    config = f"""folder = "{toy.folder}"
held_out = 8
steps = 3
rows = 4
row_labels = 16
negatives = 16
min_count = 2
model = {{ words = {WORDS}, width = 8, dim = 8 }}
texts = [{{ path = "text.txt", times = 2 }}, {{ path = "sampled.txt.xz" }}]
"""
    (tmp_path / "next-words.toml").write_text(config)
    train = ["train-next-words", str(tmp_path / "next-words.toml"), "--run", str(tmp_path / "run")]
    for arguments in (sample, train):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
    assert len(lzma.decompress((tmp_path / "sampled.txt.xz").read_bytes()).decode().splitlines()) == 40
    assert load_next_words(tmp_path / "run" / NAME, ["cat", "sat"], 0.5).number.all()
