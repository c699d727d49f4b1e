"""What a session's client is told of its words, and what it may have to be told again."""

from collections import deque

from server.session.ledger import SAMPLE_RATE
from server.wire import Alternative, Attention, ErrorCode, Final, Partial, ServerMessage, Timing, WireError, Word
from server.worker.messages import Hypothesis, Look, Recognised, Segment, SpokenWord


class SessionTranscript:
    """A worker's events as the client's: each final once, no partial twice, no stable prefix taken back.

    Args:
        words: Whether finals carry words.
        kept: How many finals are kept for a client that resumes.
    """

    def __init__(self, words: bool, kept: int) -> None:
        """Starts with nothing said."""
        self.segments = 0  # finals so far: the number of the open segment
        self._words = words
        self._finals: deque[Final] = deque(maxlen=kept)
        self._partial: Partial | None = None  # the newest of the open segment
        self._declared = ""  # the open segment's stable prefix
        self._heard = self._repeated = 0  # samples at 16 kHz: of the newest partial; up to which a replay repeats

    def replaying(self) -> None:
        """A new worker starts on the open segment: it will say again what the lost one said."""
        self._repeated = self._heard

    def hear(self, message: Recognised) -> list[ServerMessage]:
        """What is news to the client.

        Raises:
            ValueError: for a segment that leaves one out.
        """
        news: list[ServerMessage] = []
        for event in message.events:
            if event.segment > self.segments:
                raise ValueError(f"expected segment {self.segments} at most, got {event.segment}")
            if event.segment < self.segments:
                continue
            heard = self._end(event) if isinstance(event, Segment) else self._grow(event, message)
            if heard is not None:
                news.append(heard)
        if message.position > self._repeated:
            news += map(_attention, message.looks)
        return news

    def check(self, segments: int) -> None:
        """Whether a client that has this many finals can be told the others.

        Raises:
            WireError: if it cannot.
        """
        first = self.segments - len(self._finals)
        if not first <= segments <= self.segments:
            text = f"expected the number of finals that the client has, from {first} to {self.segments}, got {segments}"
            raise WireError(ErrorCode.UNKNOWN_SESSION, text)

    def missed(self, segments: int) -> list[ServerMessage]:
        """What a client that has this many finals may not know."""
        missed: list[ServerMessage] = [final for final in self._finals if final.segment >= segments]
        if self._partial is not None:
            missed.append(self._partial)
        return missed

    def _end(self, event: Segment) -> Final:
        words = tuple(map(_word, event.words))
        final = Final(
            segment=event.segment,
            text=event.text,
            start_ms=words[0].start_ms if words else 0,
            end_ms=max((word.end_ms for word in words), default=0),
            confidence=_probability(sum(word.confidence for word in words) / max(1, len(words))),
            words=words if self._words else (),
            alternatives=tuple(
                Alternative(text=r.text, confidence=_probability(r.confidence)) for r in event.alternatives
            ),
        )
        self._finals.append(final)
        self.segments += 1
        self._partial, self._declared = None, ""
        return final

    def _grow(self, event: Hypothesis, message: Recognised) -> Partial | None:
        if message.position <= self._repeated:
            return None
        if not event.text.startswith(self._declared):
            return None  # what was declared cannot be taken back: wait for a text that agrees, or for the final
        # Not up to a blank: the final may end there, without it.
        stable = max(len(self._declared), len(event.text[: event.stable].rstrip()))
        self._declared, self._heard = event.text[:stable], message.position
        self._partial = Partial(
            segment=event.segment,
            text=event.text,
            stable=stable,
            audio_ms=1000 * message.position // SAMPLE_RATE,
            timing=Timing(queue_ms=max(0.0, message.queue_ms), compute_ms=max(0.0, message.compute_ms)),
        )
        return self._partial


def _word(word: SpokenWord) -> Word:
    start = max(0, word.start_ms)
    return Word(
        word=word.word, start_ms=start, end_ms=max(start, word.end_ms), confidence=_probability(word.confidence)
    )


def _attention(look: Look) -> Attention:
    return Attention(
        audio_ms=look.audio_ms,
        frame_ms=look.frame_ms,
        labels=look.labels,
        weights=tuple(tuple(map(_probability, row)) for row in look.weights),
        end_probability=_probability(look.end_probability),
    )


def _probability(value: float) -> float:
    """Within [0, 1]: a product of roundings can lie a hair beyond."""
    return min(1.0, max(0.0, value))
