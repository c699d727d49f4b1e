"""From labels to words with times and confidence."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from asr.tokenizer import Tokenizer
from asr.transcript import Word


@dataclass(frozen=True)
class Label:
    """One emitted wordpiece.

    Attributes:
        piece: Its number.
        start_ms: Start, from the stream's first sample, of the encoder frame it attended to most.
        log_prob: Natural logarithm of its probability, "no end-of-block here" included.
    """

    piece: int
    start_ms: int
    log_prob: float


def words_of(
    labels: list[Label], tokenizer: Tokenizer, frame_ms: int, earliest_ms: int = 0, latest_ms: int | None = None
) -> list[Word]:
    """Groups wordpieces into words.

    A word starts with the frame of its first piece and ends with that of its last, but not after the next word starts;
    its confidence is the geometric mean of its pieces' probabilities.

    Args:
        labels: In order of emission.
        tokenizer: The wordpieces.
        frame_ms: Length of an encoder frame.
        earliest_ms: No word starts before: a label may attend to frames before the block, and so before the words of
            an earlier segment.
        latest_ms: No word ends after, `earliest_ms` or more; None: no limit. A label may attend to the silence that
            fills up a stream's last block.
    """
    groups = list(_grouped(labels, tokenizer))
    words: list[Word] = []
    previous = earliest_ms
    latest = math.inf if latest_ms is None else latest_ms
    for i, group in enumerate(groups):
        start = min(max(group[0].start_ms, previous), latest)
        end = min(max(start, max(p.start_ms for p in group) + frame_ms), latest)
        if i + 1 < len(groups):
            end = max(start, min(end, groups[i + 1][0].start_ms))
        confidence = math.exp(sum(p.log_prob for p in group) / len(group))
        text = tokenizer.decode([p.piece for p in group])
        words.append(Word(text, int(start), int(end), confidence))
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
