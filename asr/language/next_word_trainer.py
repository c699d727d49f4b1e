"""Training of a network over words: `asr train-next-words CONFIG`. It stops anywhere and resumes there."""

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from asr.errors import ConfigError
from asr.language import word_files
from asr.language.config import NextWordTrainConfig
from asr.language.corpus import encode_texts, read_texts, with_start
from asr.language.next_word_files import NAME, read_next_words, save_next_words
from asr.language.next_word_model import NextWordModel
from asr.language.ngrams import RESERVED, NgramModel
from asr.language.text_trainer import TextTrainer, adam
from asr.tokenizer import read_tokenizer

log = logging.getLogger(__name__)

SCORED = 32  # sentences at a time: their logits are of all words
FLAT = 0.75  # power of the words' counts by which words are drawn (Mikolov et al. 2013, 1310.4546)
EVEN = 0.1  # share of the words that are drawn evenly


class WordList:
    """Words by number; 0 is any other.

    Args:
        words: Texts, `<unk>` first.
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Numbers them."""
        self.words = tuple(words)
        self._numbers = {word: i for i, word in enumerate(self.words)}

    def __len__(self) -> int:
        """K."""
        return len(self.words)

    def encode(self, text: str) -> list[int]:
        """Numbers of a sentence's words."""
        return [self._numbers.get(word, 0) for word in text.split()]


def common_words(sentences: Iterable[str], ngrams: NgramModel, most: int, min_count: int) -> WordList:
    """The likeliest words of the trigrams among those that the texts have often enough to be learnt.

    Args:
        sentences: Of the texts, each as often as it is to be read.
        ngrams: Trigrams that the network is for.
        most: K, at most.
        min_count: How often.
    """
    counts = Counter(word for sentence in sentences for word in sentence.split())
    order = np.argsort(-ngrams.log_probs, kind="stable")
    known = (ngrams.words[i] for i in order)
    often = [word for word in known if counts[word] >= min_count and word not in RESERVED]
    return WordList([RESERVED[0], *often[: most - 1]])


class _Trained(keras.Model):
    """The network with Keras's training step around it: its output is the loss."""

    def __init__(self, network: NextWordModel, normaliser: float) -> None:
        super().__init__(name="trained")
        self.network, self.normaliser = network, normaliser

    def call(self, inputs: Any, training: bool = False) -> Any:
        rows, targets, drawn, expected = inputs
        hidden = self.network(rows, training=training)
        targets = ops.reshape(ops.transpose(targets), (-1,))
        words = targets < self.network.config.words
        nats, total = self.network.sampled_loss(
            ops.reshape(hidden, (-1, hidden.shape[-1])), ops.where(words, targets, 0), drawn[0], expected[0]
        )
        weights = ops.cast(words, "float32") / ops.sum(ops.cast(words, "float32"))
        return ops.stack([ops.sum(weights * nats), self.normaliser * ops.sum(weights * ops.square(total))])


class NextWordTrainer(TextTrainer):
    """Trains a network over words.

    Args:
        config: What to train.
        base: Folder that the config's paths are relative to.
        run: Folder of checkpoints and of the finished `next_words.npz`; made if missing.

    Raises:
        ConfigError: if a text cannot be read or does not fit the configuration, or the network to start from has
            other sizes.
        CheckpointError: if the model folder, the network to start from or the newest checkpoint cannot be read, or the
            last is of another configuration.
    """

    unit = "word"

    def __init__(self, config: NextWordTrainConfig, base: Path, run: Path) -> None:
        """Reads the texts, makes the network and loads the newest checkpoint, if there is one."""
        self.config = config
        folder = base / config.folder
        ngrams, _, _ = word_files.read_words(folder / word_files.NAME, read_tokenizer(folder / "tokenizer.model"))
        texts = read_texts(config, base)
        read = (s for text, found in zip(config.texts, texts, strict=True) for s in list(found) * text.times)
        self.words = common_words(read, ngrams, config.model.words, config.min_count)
        if len(self.words) < config.model.words:
            found = f"only {len(self.words)} that words.npz has and the texts have {config.min_count} times"
            raise ConfigError(f"words: expected {config.model.words} words, got {found}")
        corpus = encode_texts(config, texts, self.words)
        keras.utils.set_random_seed(config.seed)
        self.network = NextWordModel(config.model, config.seed, dtype="mixed_bfloat16")
        times = np.repeat(corpus.times, [len(s) for s in corpus.sentences])
        counts = 1.0 + np.bincount(np.concatenate(corpus.sentences), times, len(self.words) + 1)[:-1]
        self.network.output_bias.assign(np.log(counts / counts.sum()))
        often = counts**FLAT
        drawn = (1.0 - EVEN) * often / often.sum() + EVEN / len(counts)
        if config.start_from:
            self._start_from(base / config.start_from)
        self._sums, self._expected = np.cumsum(drawn), np.log(drawn * config.negatives).astype(np.float32)
        self._model = _Trained(self.network, config.normaliser)
        optimiser = adam(config)
        optimiser.build(self._model.trainable_variables)
        self._model.compile(optimiser, lambda _, losses: ops.sum(losses), jit_compile=keras.backend.backend() == "jax")
        joined = "\n".join(self.words.words).encode()
        super().__init__(config, run, corpus, self.network, optimiser, ("words", hashlib.sha256(joined).hexdigest()))

    def _start_from(self, path: Path) -> None:
        """Takes another network's weights; of words that it does not know nothing."""
        words, found = read_next_words(path)
        sizes = len(found["kernel"]), len(found["recurrent"])
        if sizes != (self.config.model.width, self.config.model.dim):
            expected = f"width {self.config.model.width} and dim {self.config.model.dim}"
            raise ConfigError(f"start_from: expected a network with {expected}, got {sizes[0]} and {sizes[1]}")
        theirs = {word: i for i, word in enumerate(words)}
        known = [(i, theirs[word]) for i, word in enumerate(self.words.words) if word in theirs]
        mine, rows = (list(column) for column in zip(*known, strict=True))
        embedding = np.asarray(self.network.embedding).copy()
        embedding[[*mine, -1]] = found.pop("embedding")[[*rows, -1]]
        bias = np.asarray(self.network.output_bias).copy()
        bias[mine] = found.pop("output_bias")[rows]
        for name, value in {**found, "embedding": embedding, "output_bias": bias}.items():
            getattr(self.network, name).assign(value)
        log.info("%s: vectors of %d of %d words", path, len(mine), len(self.words))

    def train_step(self, targets: NDArray[np.int16]) -> float:
        """See `TextTrainer`; the nats have the price of sums that are not one."""
        size = self.config.negatives
        random = np.random.default_rng((self.config.seed, self.step)).random(size)
        drawn = np.minimum(np.searchsorted(self._sums, random), len(self.words) - 1).astype(np.int32)
        rows = with_start(targets, self.corpus.start)
        inputs = (
            rows,
            targets.astype(np.int32),
            *(np.repeat(x[None], len(rows), 0) for x in (drawn, self._expected[drawn])),
        )
        return float(self._model.train_on_batch(inputs, np.zeros(len(rows), np.float32)))

    def evaluate(self) -> dict[str, float]:
        """Of the held-out sentences: nats per word and perplexity; of the logarithm of the softmax's sum the spread."""
        nats, sums = [], []
        for targets in self.corpus.held_out_rows(SCORED):
            hidden = self.network(with_start(targets, self.corpus.start))
            logits = np.swapaxes(np.asarray(self.network.logits(hidden)), 0, 1)
            words = targets != self.corpus.start
            total = np.asarray(ops.logsumexp(logits, axis=-1))[words]
            nats.append(total - logits[words, targets[words]])
            sums.append(total)
        mean, total = float(np.concatenate(nats).mean()), np.concatenate(sums)
        spread = {"log_sum_mean": float(total.mean()), "log_sum_deviation": float(total.std())}
        return {"nats_per_word": mean, "word_perplexity": math.exp(mean), **spread}

    def write(self, weights: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
        """See `TextTrainer`."""
        save_next_words(self.run / NAME, self.words.words, weights, about)
