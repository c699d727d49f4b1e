"""Sizes, decoding weights and training of a language model."""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from asr.errors import ConfigError

MAX_TOKENS = 8192  # of the phonetic search
MAX_NEXT_WORDS = 32_000  # of the network over words: their numbers are kept in 16 bits
PHRASE_WORD = -8.0  # log-probability of a word that only a phrase has; the best on development data (docs/phrases.md)


def _positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not value > 0:
            raise ConfigError(f"{name}: expected more than 0, got {value}")


@dataclass(frozen=True)
class LanguageConfig:
    """Sizes.

    Attributes:
        vocabulary: V, wordpieces of the tokenizer.
        dim: D, width of embedding and recurrent state.
        hidden: H, width of the layer before the softmax.
    """

    vocabulary: int = 256
    dim: int = 384
    hidden: int = 256

    def __post_init__(self) -> None:
        """Raises ConfigError naming the size that is wrong."""
        _positive(self, "vocabulary", "dim", "hidden")


@dataclass(frozen=True)
class PhoneticWeights:
    """How the phonetic search weighs and prunes: see `asr.decoding.token_passing`.

    Attributes:
        lm_weight: Of each word's log-probability after those before it.
        word_bonus: Added for each word, in nats; below 0 it is a price.
        network_share: Of the network over words, where the folder has one, in the probability of a word; the rest is
            the trigrams'.
        beam: Tokens this much less likely than the best are dropped, in nats.
        tokens: And those beyond so many.
    """

    lm_weight: float = 1.0
    word_bonus: float = -0.5
    beam: float = 14.0
    tokens: int = 1500
    network_share: float = 0.5

    def __post_init__(self) -> None:
        """Raises ConfigError naming the number that is wrong."""
        if not 0.0 <= self.lm_weight < math.inf:
            raise ConfigError(f"lm_weight: expected a number of 0 or more, got {self.lm_weight}")
        if not math.isfinite(self.word_bonus):
            raise ConfigError(f"word_bonus: expected a finite number, got {self.word_bonus}")
        if not 0.0 <= self.network_share < 1.0:
            raise ConfigError(f"network_share: expected 0 or more and less than 1, got {self.network_share}")
        _positive(self, "beam")
        if not 1 <= self.tokens <= MAX_TOKENS:
            raise ConfigError(f"tokens: expected 1 to {MAX_TOKENS}, got {self.tokens}")


@dataclass(frozen=True)
class FusionWeights:
    """How the beam search weighs a language model: see `asr.decoding.beam.BeamConfig`.

    Attributes:
        lm_weight: Of the language model's log-probabilities.
        ilm_weight: Of the transducer's own expectation, which is subtracted.
        label_bonus: Added for each label.
    """

    lm_weight: float = 0.4
    ilm_weight: float = 0.3
    label_bonus: float = 1.1

    def __post_init__(self) -> None:
        """Raises ConfigError naming the weight that is wrong."""
        for name in ("lm_weight", "ilm_weight", "label_bonus"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0.0:
                raise ConfigError(f"{name}: expected a number of 0 or more, got {value}")

    def replaced(
        self, lm_weight: float | None, ilm_weight: float | None, label_bonus: float | None = None
    ) -> "FusionWeights":
        """These weights, save for those given."""
        given = {"lm_weight": lm_weight, "ilm_weight": ilm_weight, "label_bonus": label_bonus}
        return dataclasses.replace(self, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class WordPrices:
    """What the search adds beside the trigrams, in nats.

    Attributes:
        outside: Log-probability of a word that the lexicon does not have.
        outside_piece: Of each of its wordpieces, from the first on that no word of the lexicon goes on with.
        word_bonus: Added for each word, against the language model's dislike of many.
    """

    outside: float = -16.0
    outside_piece: float = -3.0
    word_bonus: float = 2.0

    def __post_init__(self) -> None:
        """Raises ConfigError naming the price that is wrong."""
        for name in ("outside", "outside_piece", "word_bonus"):
            if not math.isfinite(value := getattr(self, name)):
                raise ConfigError(f"{name}: expected a number, got {value}")


@dataclass(frozen=True)
class TextConfig:
    """A text to learn from.

    Attributes:
        path: A sentence a line, normalised when it is read; .xz is unpacked. Relative to the configuration's folder.
        times: How often an epoch has it.
    """

    path: str = ""
    times: int = 1

    def __post_init__(self) -> None:
        """Raises ConfigError for a text without a path."""
        if not self.path:
            raise ConfigError("texts.path: expected a file, got none")
        _positive(self, "times")


@dataclass(frozen=True)
class TextTrainConfig:
    """What every training on text needs.

    Attributes:
        texts: What to learn from.
        held_out: Sentences of the first text that are scored, not learned.
        steps: Steps in all; the learning rate falls to zero over them as a cosine.
        rows: B, rows of text per step.
        row_labels: U, labels of a row.
        learning_rate: Peak.
        warmup: Steps to the peak.
        checkpoint_minutes: Time between checkpoints.
        log_steps: Steps between log lines.
        seed: Of the weights and of the order.
    """

    texts: tuple[TextConfig, ...] = field(default_factory=tuple)
    held_out: int = 5000
    steps: int = 1000
    rows: int = 256
    row_labels: int = 96
    learning_rate: float = 3e-3
    warmup: int = 100
    checkpoint_minutes: float = 3.0
    log_steps: int = 50
    seed: int = 1

    def __post_init__(self) -> None:
        """Raises ConfigError naming the key that is wrong."""
        if not self.texts:
            raise ConfigError("texts: expected one or more, got none")
        names = "held_out", "steps", "rows", "row_labels", "learning_rate", "warmup", "checkpoint_minutes", "log_steps"
        _positive(self, *names)


@dataclass(frozen=True)
class LanguageTrainConfig(TextTrainConfig):
    """A training run of a language model over wordpieces.

    Attributes:
        model: Sizes.
        tokenizer: The transducer's tokenizer.model. Relative to the configuration's folder.
    """

    model: LanguageConfig = LanguageConfig()
    tokenizer: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigError naming the key that is wrong."""
        super().__post_init__()
        if not self.tokenizer:
            raise ConfigError("tokenizer: expected a sentencepiece model file, got none")


@dataclass(frozen=True)
class NextWordConfig:
    """Sizes of a network over words.

    Attributes:
        words: K, words that it knows, the unknown word among them.
        width: E, of a word's vector, as input and before the softmax.
        dim: D, of the recurrent state.
        dropout: Of words' vectors and of states, in training.
    """

    words: int = 12000
    width: int = 128
    dim: int = 512
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Raises ConfigError naming the size that is wrong."""
        _positive(self, "width", "dim")
        if not 2 <= self.words <= MAX_NEXT_WORDS:
            raise ConfigError(f"words: expected 2 to {MAX_NEXT_WORDS}, got {self.words}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout: expected 0 or more and less than 1, got {self.dropout}")


@dataclass(frozen=True)
class NextWordTrainConfig(TextTrainConfig):
    """A training run of a network over words.

    Attributes:
        model: Sizes.
        folder: Model folder whose words.npz has the words. Relative to the configuration's folder.
        start_from: next_words.npz of the same sizes to start from, of which words that it does not know have new
            vectors; "": none. Relative to the configuration's folder.
        min_count: How often the texts must have a word at least for the network to know it.
        negatives: Words drawn in each step, against which the right ones are to be told.
        normaliser: Weight of the squared logarithm of the softmax's sum, by which logits become log-probabilities.
        row_labels: U, words of a row.
    """

    model: NextWordConfig = NextWordConfig()
    folder: str = ""
    start_from: str = ""
    min_count: int = 8
    negatives: int = 4096
    normaliser: float = 0.1
    row_labels: int = 40

    def __post_init__(self) -> None:
        """Raises ConfigError naming the key that is wrong."""
        super().__post_init__()
        if not self.folder:
            raise ConfigError("folder: expected a model folder with words.npz, got none")
        _positive(self, "min_count", "negatives")
        if not 0.0 <= self.normaliser < math.inf:
            raise ConfigError(f"normaliser: expected a number of 0 or more, got {self.normaliser}")
