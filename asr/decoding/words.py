"""From labels to words with times and confidence."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from asr.errors import ConfigError
from asr.tokenizer import Tokenizer
from asr.transcript import Word

MAX_LAG_MS = 400  # five encoder frames


@dataclass(frozen=True)
class Label:
    """One emitted wordpiece.

    Attributes:
        piece: Its number.
        start_ms: Start, from the stream's first sample, of the encoder frame it attended to most.
        log_prob: Natural logarithm of its probability, "no end-of-block here" included.
        end_ms: Its end; None: that of the encoder frame.
    """

    piece: int
    start_ms: int
    log_prob: float
    end_ms: int | None = None

    def until_ms(self, frame_ms: int) -> int:
        """Its end, with encoder frames of this length."""
        return self.start_ms + frame_ms if self.end_ms is None else self.end_ms


@dataclass(frozen=True)
class WordRule:
    """How a model's frames and probabilities become times and confidences: `asr calibrate` measures it.

    Attributes:
        start_lag_ms: By how much the frame that a word's first piece attends to lies after the word's start.
        end_lag_ms: The same of the end of its last piece's frame and the word's end.
        scale: Of the logit of a word's probability.
        shift: Added to that: the confidence is the sigmoid of the sum (Platt scaling; Platt 1999).
    """

    start_lag_ms: int = 0
    end_lag_ms: int = 0
    scale: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        """Raises ConfigError naming the number that is wrong."""
        for name in ("start_lag_ms", "end_lag_ms"):
            if not -MAX_LAG_MS <= getattr(self, name) <= MAX_LAG_MS:
                raise ConfigError(f"{name}: expected at most {MAX_LAG_MS} either way, got {getattr(self, name)}")
        if not (0.0 < self.scale < math.inf and math.isfinite(self.shift)):
            raise ConfigError(f"scale, shift: expected finite numbers, scale above 0, got {self.scale}, {self.shift}")

    def confidence(self, probability: float) -> float:
        """Of a word whose pieces have this geometric mean of probabilities."""
        if self.scale == 1.0 and self.shift == 0.0:
            return probability
        logit = self.scale * logit_of(probability) + self.shift
        return 1.0 / (1.0 + math.exp(-logit))


def logit_of(probability: float) -> float:
    """Its logarithm less that of its opposite's; of what is nearly certain, a large finite number."""
    inside = min(max(probability, 1e-6), 1.0 - 1e-6)
    return math.log(inside / (1.0 - inside))


def words_of(
    labels: list[Label],
    tokenizer: Tokenizer,
    frame_ms: int,
    earliest_ms: int = 0,
    latest_ms: int | None = None,
    rule: WordRule | None = None,
) -> list[Word]:
    """Groups wordpieces into words.

    A word starts with the frame of its first piece and ends with that of its last, less the rule's lags, but not after
    the next word starts; its confidence is what the rule makes of the geometric mean of its pieces' probabilities.

    Args:
        labels: In order of emission.
        tokenizer: The wordpieces.
        frame_ms: Length of an encoder frame.
        earliest_ms: No word starts before: a label may attend to frames before the block, and so before the words of
            an earlier segment.
        latest_ms: No word ends after, `earliest_ms` or more; None: no limit. A label may attend to the silence that
            fills up a stream's last block.
        rule: Of the model; None: no lag, and probabilities as they are.
    """
    rule = rule or WordRule()
    groups = list(_grouped(labels, tokenizer))
    starts = [group[0].start_ms - rule.start_lag_ms for group in groups]
    words: list[Word] = []
    previous = earliest_ms
    latest = math.inf if latest_ms is None else latest_ms
    for i, group in enumerate(groups):
        start = min(max(starts[i], previous), latest)
        end = min(max(start, max(p.until_ms(frame_ms) for p in group) - rule.end_lag_ms), latest)
        if i + 1 < len(groups):
            end = max(start, min(end, starts[i + 1]))
        probability = math.exp(sum(p.log_prob for p in group) / len(group))
        text = tokenizer.decode([p.piece for p in group])
        words.append(Word(text, int(start), int(end), rule.confidence(probability)))
        previous = int(start)
    return words


def _grouped(labels: list[Label], tokenizer: Tokenizer) -> Iterator[list[Label]]:
    """Wordpieces of each word; a lone word mark, which has no text, is left out."""
    group: list[Label] = []
    for label in labels:
        if tokenizer.starts_word(label.piece) and group:
            yield from _if_text(group, tokenizer)
            group = []
        group.append(label)
    yield from _if_text(group, tokenizer)


def _if_text(group: list[Label], tokenizer: Tokenizer) -> Iterator[list[Label]]:
    if tokenizer.decode([p.piece for p in group]):
        yield group
