"""What words are worth beyond their text: their times, how soon they come, their confidence, and where speech ends.

Definitions. Times are held against a forced alignment (`asr.evaluation.alignment`) of the words that were recognised
as they were said. Emission latency: from a word's end by that alignment to the end of the chunk with which it was said
for good; computing and network come on top. Calibration error: words in bins of equal size by confidence, the mean
over bins of the distance between mean confidence and share of right words (ECE; Nguyen and O'Connor 2015, section 3). A
word is cut where recognition starts afresh inside it; an endpoint's delay is from the last word's end to the step that
declared the segment's end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray

from asr.evaluation.alignment import Said
from asr.evaluation.listening import Heard
from data.text import normalise

BINS = 15
EDGE_MS = 50  # a restart as near to a word's edge does not cut it: an alignment is no more exact


@dataclass
class WordMeasures:
    """Figures of many utterances, word by word.

    Attributes:
        starts_ms: Recognised less aligned start of each word that could be compared.
        ends_ms: The same of ends.
        latencies_ms: Emission latency of each of them.
        confidences: Of every recognised word.
        right: Whether each of those was said.
        cut: Endpoints inside a word.
        endpoints: Endpoints declared.
        delays_ms: Of the endpoint after each utterance's last word.
        words: Words of the aligned references.
    """

    starts_ms: list[int] = field(default_factory=list)
    ends_ms: list[int] = field(default_factory=list)
    latencies_ms: list[int] = field(default_factory=list)
    confidences: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    cut: int = 0
    endpoints: int = 0
    delays_ms: list[int] = field(default_factory=list)
    words: int = 0

    def add(self, heard: Heard, said: Sequence[Said] | None) -> None:
        """Adds an utterance; `said` None: it could not be aligned, so that only confidences count."""
        reference = normalise(heard.utterance.transcript).split()
        pairs = _matched(reference, [word.word for word in heard.words])
        matched = {there for _, there in pairs}
        self.confidences += [word.confidence for word in heard.words]
        self.right += [i in matched for i in range(len(heard.words))]
        if said is None:
            return
        self.words += len(said)
        for here, there in pairs:
            self.starts_ms.append(heard.words[there].start_ms - said[here].start_ms)
            self.ends_ms.append(heard.words[there].end_ms - said[here].end_ms)
            self.latencies_ms.append(heard.emitted_ms[there] - said[here].end_ms)
        self.endpoints += len(heard.endpoints_ms)
        for _, restart in heard.endpoints_ms:
            self.cut += any(s.start_ms + EDGE_MS < restart < s.end_ms - EDGE_MS for s in said)
        after = [declared for declared, restart in heard.endpoints_ms if restart >= said[-1].end_ms - EDGE_MS]
        if after:
            self.delays_ms.append(after[0] - said[-1].end_ms)

    def summary(self) -> dict[str, Any]:
        """JSON-able figures."""
        return {
            "aligned_words": self.words,
            "matched_words": len(self.starts_ms),
            "start_error_ms": _errors(self.starts_ms),
            "end_error_ms": _errors(self.ends_ms),
            "emission_latency_ms": _quantiles(self.latencies_ms),
            "calibration_error": round(calibration_error(np.array(self.confidences), np.array(self.right)), 4),
            "mean_confidence": round(float(np.mean(self.confidences)), 4) if self.confidences else None,
            "right": round(float(np.mean(self.right)), 4) if self.right else None,
            "endpoints": self.endpoints,
            "words_cut": self.cut,
            "endpoint_delay_ms": _quantiles(self.delays_ms),
        }


def calibration_error(confidences: NDArray[np.float64], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error, over bins of as many words each.

    Args:
        confidences: [n].
        right: [n].
        bins: Fewer if there are fewer words; no words: 0.
    """
    if not len(confidences):
        return 0.0
    order = np.argsort(confidences, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    gaps = [len(part) * abs(float(np.mean(confidences[part]) - np.mean(right[part]))) for part in parts]
    return sum(gaps) / len(order)


def _matched(reference: Sequence[str], words: Sequence[str]) -> list[tuple[int, int]]:
    """Places of words that are the same in both, by the alignment of the fewest errors."""
    if not reference or not words:
        return []
    (chunks,) = jiwer.process_words(" ".join(reference), " ".join(words)).alignments
    return [
        (chunk.ref_start_idx + i, chunk.hyp_start_idx + i)
        for chunk in chunks
        if chunk.type == "equal"
        for i in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]


def _errors(differences: Sequence[int]) -> dict[str, float | None]:
    """Median of the absolute and of the signed differences."""
    if not differences:
        return {"median": None, "bias": None}
    values = np.array(differences)
    return {"median": float(np.median(np.abs(values))), "bias": float(np.median(values))}


def _quantiles(values: Sequence[int]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p90": None}
    p50, p90 = np.percentile(values, [50, 90])
    return {"p50": float(p50), "p90": float(p90)}
