"""Text as rows of wordpieces or words, without padding.

Sentences follow one another; before each stands the start symbol, which ends the one before and is predicted by none:
the transducer's hypotheses begin after a segment's start and need no end. A row cuts the text anywhere and begins with
the start symbol too, from a zero state, as a segment does after a pause in mid-sentence.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.errors import ConfigError
from asr.language.config import TextTrainConfig
from asr.training.text import sentences


class Labels(Protocol):
    """What turns a sentence into numbers: a tokenizer, or a list of words."""

    def __len__(self) -> int:
        """V."""

    def encode(self, text: str) -> list[int]:
        """Numbers below V."""


@dataclass(frozen=True)
class TextCorpus:
    """Sentences to learn from and to be scored on.

    Attributes:
        sentences: [u] int16 each, labels and the start symbol V after them.
        times: How often an epoch has each.
        held_out: As `sentences`.
        held_out_words: Words of `held_out`.
        start: V.
    """

    sentences: list[NDArray[np.int16]]
    times: NDArray[np.int32]
    held_out: list[NDArray[np.int16]]
    held_out_words: int
    start: int

    def rows(self, sentences: list[NDArray[np.int16]], labels: int) -> NDArray[np.int16]:
        """Targets of rows, start symbols included: [rows, labels]; what fills no row is left out."""
        stream = np.concatenate(sentences)
        count = len(stream) // labels
        return stream[: count * labels].reshape(count, labels)

    def held_out_rows(self, count: int) -> Iterator[NDArray[np.int16]]:
        """Targets of the held-out sentences, at most `count` at a time, short ones first: [n, u], padded with V."""
        ordered = sorted(self.held_out, key=len)
        for first in range(0, len(ordered), count):
            batch = ordered[first : first + count]
            targets = np.full((len(batch), -(-len(batch[-1]) // 32) * 32), self.start, np.int16)
            for row, sentence in enumerate(batch):
                targets[row, : len(sentence)] = sentence
            yield targets

    def batches(self, config: TextTrainConfig, step: int) -> Iterator[NDArray[np.int16]]:
        """Targets [B, U] of every step from `step` on, the same for the same seed."""
        order = np.repeat(np.arange(len(self.sentences)), self.times)
        size = int(sum(len(self.sentences[i]) for i in order)) // config.row_labels // config.rows
        if not size:
            raise ConfigError(f"rows: expected at most the texts' rows of {config.row_labels} labels")
        while True:
            epoch, first = divmod(step, size)
            shuffled = np.random.default_rng((config.seed, epoch)).permutation(order)
            rows = self.rows([self.sentences[i] for i in shuffled], config.row_labels)
            for n in range(first, size):
                yield rows[n * config.rows : (n + 1) * config.rows]
                step += 1


def read_texts(config: TextTrainConfig, base: Path) -> list[list[str]]:
    """Sentences of each text; raises ConfigError if one cannot be read."""
    return [list(sentences(base / text.path)) for text in config.texts]


def encode_texts(config: TextTrainConfig, texts: Sequence[Sequence[str]], labels: Labels) -> TextCorpus:
    """Texts as numbers; the first one's first sentences are held out.

    Raises:
        ConfigError: if there is nothing left to learn from.
    """
    held_out, rest = texts[0][: config.held_out], [texts[0][config.held_out :], *texts[1:]]
    encoded = [_labels(s, labels) for text in rest for s in text]
    if not encoded:
        raise ConfigError(f"held_out: expected fewer than the texts' sentences, got {config.held_out}")
    times = np.repeat(np.array([text.times for text in config.texts], np.int32), [len(text) for text in rest])
    words = sum(len(s.split()) for s in held_out)
    return TextCorpus(encoded, times, [_labels(s, labels) for s in held_out], words, len(labels))


def with_start(targets: NDArray[np.int16], start: int) -> NDArray[np.int32]:
    """Inputs of rows of targets [B, U]: the start symbol and all but the last."""
    return np.concatenate([np.full((len(targets), 1), start), targets[:, :-1]], axis=1).astype(np.int32)


def _labels(sentence: str, labels: Labels) -> NDArray[np.int16]:
    return np.array([*labels.encode(sentence), len(labels)], np.int16)
