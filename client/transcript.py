"""What a session yields: words with times and confidence, in segments between pauses."""

from collections.abc import Iterable
from dataclasses import dataclass

from server.wire import Final, Word


@dataclass(frozen=True)
class Segment:
    """Words between two pauses.

    Attributes:
        text: What was said.
        words: In order; empty if they were not asked for.
    """

    text: str
    words: tuple[Word, ...] = ()

    @property
    def start_ms(self) -> int:
        """Start of the first word, from the recording's first sample; 0 without words."""
        return self.words[0].start_ms if self.words else 0

    @property
    def end_ms(self) -> int:
        """End of the last word; 0 without words."""
        return self.words[-1].end_ms if self.words else 0


@dataclass(frozen=True)
class Transcript:
    """Everything said in a recording.

    Attributes:
        segments: In order.
        duration_ms: Length of the recording.
        model: Name of the server's model.
    """

    segments: tuple[Segment, ...]
    duration_ms: int
    model: str = ""

    @property
    def text(self) -> str:
        """All text, segments joined by spaces."""
        return " ".join(segment.text for segment in self.segments)

    @property
    def words(self) -> tuple[Word, ...]:
        """All words."""
        return tuple(word for segment in self.segments for word in segment.words)


def transcript_of(finals: Iterable[Final], duration_ms: int, model: str) -> Transcript:
    """The transcript that a session's finals make; those without text are left out."""
    segments = tuple(Segment(final.text, final.words) for final in finals if final.text)
    return Transcript(segments, duration_ms, model)
