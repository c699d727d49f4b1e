"""Which words go wrong, and whose: `asr errors` on the texts that `asr evaluate --texts` wrote."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jiwer

from asr.errors import AsrError
from data.text import normalise


@dataclass
class ErrorCounts:
    """Errors word by word.

    Attributes:
        said: How often each word was said.
        wrong: How often each was recognised as another, or left out.
        confused: Pairs of what was said and what was recognised.
        deleted: Words left out.
        inserted: Words that were not said.
        utterances: Errors and words of each utterance, by id.
    """

    said: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    confused: Counter[tuple[str, str]] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    inserted: Counter[str] = field(default_factory=Counter)
    utterances: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, key: str, reference: str, hypothesis: str) -> None:
        """Adds an utterance whose reference has a word or more."""
        found = jiwer.process_words(reference, hypothesis)
        said, heard = reference.split(), hypothesis.split()
        self.said.update(said)
        for chunk in found.alignments[0]:
            before = said[chunk.ref_start_idx : chunk.ref_end_idx]
            after = heard[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type != "equal":
                self.wrong.update(before)
            if chunk.type == "substitute":
                self.confused.update(zip(before, after, strict=True))
            elif chunk.type == "delete":
                self.deleted.update(before)
            elif chunk.type == "insert":
                self.inserted.update(after)
        errors = found.substitutions + found.deletions + found.insertions
        self.utterances[key] = errors, len(said)


def count_errors(rows: Iterable[Mapping[str, str]]) -> ErrorCounts:
    """Counts the errors of rows with id, reference and hypothesis."""
    counts = ErrorCounts()
    for row in rows:
        reference = normalise(row["reference"])
        if reference:
            counts.add(row["id"], reference, normalise(row["hypothesis"]))
    return counts


def read_texts(path: Path) -> list[dict[str, str]]:
    """What `asr evaluate --texts` wrote.

    Raises:
        AsrError: naming the file, if it is something else.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [{name: str(row[name]) for name in ("id", "reference", "hypothesis")} for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise AsrError(f"{path}: expected lines as asr evaluate --texts writes them: {error}") from error


def describe(counts: ErrorCounts, speakers: Mapping[str, str], known: Mapping[str, int], most: int) -> list[str]:
    """Lines that say what goes wrong.

    Args:
        counts: The errors.
        speakers: Of each utterance, by id; without it its speaker is not told.
        known: How often training transcripts have each word; empty: not asked.
        most: Lines of each list.
    """
    lines = [f"{sum(e for e, _ in counts.utterances.values())} errors in {sum(counts.said.values())} words"]
    if known:
        lines += ["", "wrong, by how often training transcripts have the word:", *_by_frequency(counts, known)]
    by_speaker: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for key, found in counts.utterances.items():
        if key in speakers:
            by_speaker[speakers[key]].append(found)
    rates = {s: sum(e for e, _ in f) / sum(w for _, w in f) for s, f in by_speaker.items()}
    lines += [f"{s}: {100 * rate:.1f} %" for s, rate in sorted(rates.items(), key=lambda item: -item[1])[:most]]
    lines += ["", "said → recognised:", *(f"{n} × {a} → {b}" for (a, b), n in counts.confused.most_common(most))]
    for title, counter in (("left out", counts.deleted), ("not said", counts.inserted)):
        lines += ["", f"{title}: " + ", ".join(f"{word} {n}" for word, n in counter.most_common(most))]
    return lines


def _by_frequency(counts: ErrorCounts, known: Mapping[str, int]) -> Sequence[str]:
    bounds = (0, 1, 10, 100, 1000)
    said: Counter[int] = Counter()
    wrong: Counter[int] = Counter()
    for word, n in counts.said.items():
        band = max(bound for bound in bounds if known.get(word, 0) >= bound)
        said[band] += n
        wrong[band] += counts.wrong[word]
    names = {0: "never", 1: "1 to 9", 10: "10 to 99", 100: "100 to 999", 1000: "1000 and more"}
    return [f"  {names[b]}: {100 * wrong[b] / said[b]:.1f} % of {said[b]}" for b in bounds if said[b]]
