"""What recognition yields: words with times and confidence, in segments between pauses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Word:
    """A word.

    Attributes:
        word: Its text.
        start_ms: Start, from the recording's first sample.
        end_ms: End, at or after the start.
        confidence: Probability in [0, 1] that the model gives it.
    """

    word: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True)
class Segment:
    """Words between two pauses.

    Attributes:
        text: The words, joined by spaces.
        words: In order.
        start_ms: Start of the first word.
        end_ms: End of the last word.
    """

    text: str
    words: tuple[Word, ...]
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Transcript:
    """Everything said in a recording.

    Attributes:
        segments: In order.
        duration_ms: Length of the recording.
    """

    segments: tuple[Segment, ...]
    duration_ms: int

    @property
    def text(self) -> str:
        """All text, segments joined by spaces."""
        return " ".join(s.text for s in self.segments)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words."""
        return tuple(w for s in self.segments for w in s.words)


def segment_of(words: list[Word]) -> Segment:
    """A segment of at least one word."""
    return Segment(" ".join(w.word for w in words), tuple(words), words[0].start_ms, words[-1].end_ms)
