"""Finals whose times and confidence follow from their words, as a server's do."""

from collections.abc import Sequence

from server.wire import Final, Word


def final_of(segment: int, text: str, words: Sequence[Word] = ()) -> Final:
    """A final, of given words or of none."""
    confidences = [word.confidence for word in words]
    return Final(
        segment=segment,
        text=text,
        start_ms=min((word.start_ms for word in words), default=0),
        end_ms=max((word.end_ms for word in words), default=0),
        confidence=min(1.0, sum(confidences) / max(1, len(confidences))),
        words=tuple(words),
    )
