"""Whether a worker that is silent is idle or hung."""

from dataclasses import dataclass

from server.worker.messages import (
    Audio,
    Drop,
    Finish,
    Finished,
    Flush,
    Flushed,
    FromWorker,
    Open,
    Recognised,
    Refused,
    ToWorker,
)

SAMPLES_PER_MS = 16  # 16 kHz
BYTES_PER_SAMPLE = 4  # float32


@dataclass
class _Debt:
    """What a worker owes one stream."""

    chunk_samples: int
    answer_samples: int
    """Audio after which an answer must come: a chunk, the look-ahead, and a chunk of grace."""
    sent: int
    """Samples sent, from the session's first."""
    waiting: int = 0
    """Samples sent and not yet recognised; never more than there are."""
    ends: int = 0
    """`Flush` and `Finish` not yet answered."""

    @property
    def owed(self) -> bool:
        """Whether the worker has something to answer."""
        return self.ends > 0 or self.waiting >= self.answer_samples


class Progress:
    """Follows both directions and says for how long the worker has owed an answer without giving any.

    Any message from the worker counts as progress: a worker that answers other streams is busy, not hung. What
    waits is counted low rather than high, since a healthy worker taken for hung costs every stream a replay.
    """

    def __init__(self) -> None:
        self.lookahead_ms = 0
        """Audio that the model waits for beyond a chunk; set when the worker has started."""
        self._debts: dict[int, _Debt] = {}
        self._owing: set[int] = set()
        self._since: float | None = None

    def silent_s(self, now: float) -> float:
        """Seconds for which the worker has owed an answer and said nothing; 0 if it owes none."""
        return 0.0 if self._since is None else now - self._since

    def sent(self, message: ToWorker, now: float) -> None:
        """Note a message to the worker, at `now` seconds of any monotonic clock."""
        if isinstance(message, Open):
            self._open(message)
        elif isinstance(message, Drop):
            self._forget(message.stream)
        elif isinstance(message, Audio | Flush | Finish) and (debt := self._debts.get(message.stream)) is not None:
            if isinstance(message, Audio):
                samples = len(message.samples) // BYTES_PER_SAMPLE
                debt.sent += samples
                debt.waiting += samples
            else:
                debt.ends += 1
            self._update(message.stream, debt)
        if self._owing and self._since is None:
            self._since = now

    def received(self, message: FromWorker, now: float) -> None:
        """Note a message from the worker, at `now` seconds of the same clock."""
        if isinstance(message, Finished | Refused):
            self._forget(message.stream)
        elif isinstance(message, Recognised) and (debt := self._debts.get(message.stream)) is not None:
            debt.waiting = max(0, min(debt.waiting - debt.chunk_samples, debt.sent - message.position))
            self._update(message.stream, debt)
        elif isinstance(message, Flushed) and (debt := self._debts.get(message.stream)) is not None:
            debt.waiting = 0
            debt.ends = max(0, debt.ends - 1)
            self._update(message.stream, debt)
        self._since = now if self._owing else None

    def _open(self, message: Open) -> None:
        """Begin to follow a stream."""
        chunk = message.chunk_ms * SAMPLES_PER_MS
        answer = 2 * chunk + self.lookahead_ms * SAMPLES_PER_MS
        self._debts[message.stream] = _Debt(chunk_samples=chunk, answer_samples=answer, sent=message.position)

    def _update(self, stream: int, debt: _Debt) -> None:
        """Keep the set of streams that wait for an answer."""
        if debt.owed:
            self._owing.add(stream)
        else:
            self._owing.discard(stream)

    def _forget(self, stream: int) -> None:
        """A stream that ended is owed nothing."""
        self._debts.pop(stream, None)
        self._owing.discard(stream)
        if not self._owing:
            self._since = None
