"""N-gram models and counts of others: ARPA files, and lists of words and pairs of words with their counts."""

import gzip
import lzma
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import AsrError
from asr.language.ngrams import RESERVED, START, NgramModel
from data.text import normalise

_WORD = re.compile(r"[a-z']*[a-z][a-z']*")
_LN_10 = float(np.log(10.0))
_CERTAIN = 0.99  # the most of a word's successors that its listed pairs can be, however counts disagree

Level = dict[tuple[str, ...], tuple[float, float]]  # n-grams' log-probability and the logarithm of their backoff


def is_word(text: str, start: bool = False) -> bool:
    """Whether a text is of a to z and the apostrophe; with `start` also whether it is the start of a sentence."""
    return bool(_WORD.fullmatch(text)) or (start and text == RESERVED[START])


@contextmanager
def _lines(path: Path) -> Iterator[IO[str]]:
    try:
        opened: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
        with opened(path, "rt", encoding="utf-8", errors="replace") as file:
            yield file
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise AsrError(f"{path}: expected a text file of n-grams: {error}") from error


def read_arpa(path: Path) -> NgramModel:
    """Reads an n-gram model in ARPA's format, up to trigrams.

    Words of other characters than a to z and the apostrophe are left out, as are unknown words and sentences' ends;
    the others are spelt as transcripts are (`model_of`).

    Args:
        path: `.arpa` or `.lm`; of `.gz` and `.xz` what is inside.

    Raises:
        AsrError: if the file cannot be read or is no ARPA file.
    """
    levels: list[Level] = [{}, {}, {}]
    order = 0
    with _lines(path) as file:
        for number, line in enumerate(file, 1):
            text = line.strip()
            if text.startswith("\\"):
                order = int(text[1]) if re.fullmatch(r"\\[1-9]-grams:", text) else 0
                continue
            if not order or order > len(levels) or not text:
                continue
            fields = text.split()
            try:
                gram = tuple(fields[1 : order + 1])
                if len(gram) < order:
                    raise ValueError
                weights = float(fields[0]), float(fields[order + 1]) if len(fields) > order + 1 else 0.0
            except ValueError:
                raise AsrError(
                    f"{path}, line {number}: expected a number, {order} words and perhaps a number, got {text[:80]!r}"
                ) from None
            if all(is_word(word, start=not i) for i, word in enumerate(gram)):
                levels[order - 1][gram] = weights[0] * _LN_10, weights[1] * _LN_10
    if not levels[0]:
        raise AsrError(f"{path}: expected an ARPA file with words of a to z and the apostrophe, got none")
    return model_of(levels)


def read_counts(paths: Iterable[Path], most_words: int = 100_000) -> NgramModel:
    """A bigram model of lists of counts: lines of a word, or of two words, a tab and how often they occur.

    Words that are spelt alike in transcripts are one. Pairs have the share of their first word's occurrences; what they
    leave is its other successors', by their counts.

    Args:
        paths: Text files; of `.gz` and `.xz` what is inside.
        most_words: The most frequent words are kept.

    Raises:
        AsrError: if a file cannot be read, or lists no words.
    """
    singles: dict[str, float] = {}
    pairs: dict[tuple[str, str], float] = {}
    for path in paths:
        with _lines(path) as file:
            for number, line in enumerate(file, 1):
                text = line.strip()
                words, _, count = text.lower().rpartition("\t")
                try:
                    value = float(count)
                except ValueError:
                    raise AsrError(
                        f"{path}, line {number}: expected words, a tab and a count, got {text[:80]!r}"
                    ) from None
                gram = tuple(words.split())
                if value <= 0 or not all(map(is_word, gram)):
                    continue
                gram = tuple(map(normalise, gram))
                if not all(map(is_word, gram)):  # "a''b" is two words
                    continue
                if len(gram) == 1:
                    singles[gram[0]] = singles.get(gram[0], 0.0) + value
                elif len(gram) == 2:
                    pairs[gram[0], gram[1]] = pairs.get((gram[0], gram[1]), 0.0) + value
    if not singles:
        raise AsrError("expected lists of counts with single words of a to z and the apostrophe, got none")
    kept = dict(sorted(singles.items(), key=lambda item: -item[1])[:most_words])
    total = sum(kept.values())
    listed, said, lost = dict.fromkeys(kept, 0.0), dict.fromkeys(kept, 0.0), dict.fromkeys(kept, 0.0)
    known = {pair: count for pair, count in pairs.items() if pair[0] in kept and pair[1] in kept}
    for (first, _), often in known.items():
        listed[first] += often
    bigrams: Level = {}
    for (first, second), often in known.items():
        share = often / max(kept[first], listed[first] / _CERTAIN)
        said[first] += share
        lost[first] += kept[second] / total
        bigrams[first, second] = float(np.log(share)), 0.0
    unigrams: Level = {}
    for single, often in kept.items():
        left = (1.0 - said[single]) / max(1.0 - lost[single], 1e-6)
        unigrams[(single,)] = float(np.log(often / total)), float(np.log(left))
    return model_of([unigrams, bigrams, {}])


def model_of(levels: list[Level]) -> NgramModel:
    """The n-grams of three orders in rows; those whose words or beginnings are not there are left out.

    Words are spelt as transcripts are (`data.text`): "mr" is "mister". Of those that are one then the likeliest stays,
    and the probability of the others is nobody's.
    """
    start = levels[0].pop((RESERVED[START],), (0.0, 0.0))
    levels = _respelt(levels)
    known = sorted(word for (word,) in levels[0])
    words = (*RESERVED, *known)
    numbers = {word: i for i, word in enumerate(words)}
    log_probs, backoffs = np.full(len(words), -np.inf), np.zeros(len(words))
    backoffs[START] = start[1]
    for (word,), (log_prob, backoff) in levels[0].items():
        log_probs[numbers[word]], backoffs[numbers[word]] = log_prob, backoff
    bigrams = _sorted(levels[1], 2, numbers)
    places = {tuple(row): i for i, row in enumerate(bigrams[0].tolist())}
    trigrams = _sorted(levels[2], 3, numbers)
    rows = np.array([places.get((a, b), -1) for a, b, _ in trigrams[0].tolist()], np.int64)
    kept = rows >= 0
    return NgramModel(
        words,
        log_probs,
        backoffs,
        np.searchsorted(bigrams[0][:, 0], np.arange(len(words) + 1)),
        bigrams[0][:, 1],
        bigrams[1][:, 0],
        bigrams[1][:, 1],
        np.searchsorted(rows[kept], np.arange(len(bigrams[0]) + 1)),
        trigrams[0][kept, 2],
        trigrams[1][kept, 0],
    )


def _respelt(levels: list[Level]) -> list[Level]:
    likeliest: dict[str, str] = {}
    for (word,), _ in sorted(levels[0].items(), key=lambda item: -item[1][0]):
        likeliest.setdefault(normalise(word), word)
    spelt = {word: spelling for spelling, word in likeliest.items() if is_word(spelling)}
    spelt[RESERVED[START]] = RESERVED[START]
    return [
        {tuple(spelt[word] for word in gram): weights for gram, weights in level.items() if spelt.keys() >= set(gram)}
        for level in levels
    ]


def _sorted(grams: Level, order: int, numbers: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Numbers of the words of n-grams, in order, and their weights [n, 2]."""
    found = sorted(
        (tuple(numbers[word] for word in gram), weights)
        for gram, weights in grams.items()
        if all(word in numbers for word in gram)
    )
    keys = np.array([gram for gram, _ in found], np.int64).reshape(len(found), order)
    return keys, np.array([weights for _, weights in found], np.float64).reshape(len(found), 2)
