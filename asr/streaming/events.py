"""What a stream tells as audio arrives."""

from dataclasses import dataclass

from asr.transcript import Segment


@dataclass(frozen=True)
class Alternative:
    """Another reading of a segment.

    Attributes:
        text: Its words.
        confidence: Its probability among the hypotheses kept, 0 to 1.
    """

    text: str
    confidence: float


@dataclass(frozen=True)
class Partial:
    """The text of the segment so far.

    Attributes:
        segment: Number of the segment, from 0.
        text: Its words up to now; the last one may still grow.
        stable: Leading characters that will not change any more.
        audio_ms: Audio recognised so far.
    """

    segment: int
    text: str
    stable: int
    audio_ms: int


@dataclass(frozen=True)
class Final:
    """A finished segment.

    Attributes:
        segment: Number of the segment, from 0.
        result: Its words.
        audio_ms: Audio recognised so far.
        alternatives: Other readings, the likeliest first; none with greedy decoding.
    """

    segment: int
    result: Segment
    audio_ms: int
    alternatives: tuple[Alternative, ...] = ()


Event = Partial | Final
