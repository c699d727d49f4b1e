"""The session: the state machine that the application drives."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from server.session.actions import Action, FinishAudio, Rejoin, Takeover
from server.session.core import NORMAL_CLOSURE, SessionCore
from server.session.identity import Identity
from server.session.limits import Limits
from server.session.states import CONNECTED, TRANSITIONS, Event, State
from server.session.tokens import new_token
from server.wire import ErrorCode, Flush, Flushed, Resume, Start, Stop, WireError, decode_client
from server.worker import messages as worker

ABNORMAL_CLOSURE = 1006  # RFC 6455, section 7.4.1; never on the wire: the connection ended without a close code


class Session(SessionCore):
    """One client's stream of audio, from connection to `done`; outlives connections and workers.

    Make one for every connection and give it the connection's frames; a `Rejoin` swaps it for an older one.

    Args:
        stream: Number of its stream towards the workers, never used before.
        identity: Who it belongs to.
        limits: What it may take.
        now: Seconds.
        model: What its worker serves: the worker's `Started`.
        tokens: Makes unguessable texts, for its id and its resume tokens.

    Attributes:
        id: Its public name, unguessable.
        state: Where it stands.
        start: What the client asked for, once it has: make the decoder from its `encoding` and `sample_rate`.
        fault: What a worker did wrong, for the log; None if nothing.
    """

    def __init__(
        self,
        stream: int,
        identity: Identity,
        limits: Limits,
        now: float,
        model: worker.Started,
        tokens: Callable[[], str] = new_token,
    ) -> None:
        """Starts in `State.OPENING`."""
        super().__init__(stream, identity, limits, now, model, tokens)

    @property
    def accepts_audio(self) -> bool:
        """Whether audio may come. If not, give `receive_audio` no samples instead of decoding: it says what to do."""
        return (self.state, Event.AUDIO) in TRANSITIONS

    @property
    def full(self) -> bool:
        """Whether to read nothing from the connection for now, which holds a fast sender back.

        True from half of `Limits.backlog_s` on. Ask again after each message of the worker.
        """
        return self.accepts_audio and self.backlog_s >= self._limits.backlog_s / 2

    # What the client does

    def receive_text(self, frame: str | bytes, now: float) -> list[Action]:
        """A text frame came."""
        self._hear_client(now)
        try:
            message = decode_client(frame)
        except WireError as error:
            self._object(error.code, str(error))
            return self._actions()
        if isinstance(message, Start) and self._allows(Event.START):
            self._begin(message)
        elif isinstance(message, Resume) and self._allows(Event.REJOIN):
            self._out.append(Rejoin(message))
        elif isinstance(message, Flush) and self._allows(Event.FLUSH):
            self._flush()
        elif isinstance(message, Stop) and self._allows(Event.STOP):
            stopping = self.state is State.OPEN
            self._go(Event.STOP)
            self._out += [FinishAudio()] if stopping else []
        return self._actions()

    def receive_audio(
        self, samples: NDArray[np.float32], source_samples: int, now: float, source_bytes: int = 0
    ) -> list[Action]:
        """Audio came and was decoded.

        Args:
            samples: [N] at 16 kHz, may be empty.
            source_samples: All samples that came in the session so far: `AudioDecoder.samples`.
            now: Seconds.
            source_bytes: All bytes that came in the session so far: `AudioDecoder.received_bytes`.
        """
        self._hear_client(now)
        if self._allows(Event.AUDIO):
            self._add(samples, source_samples, source_bytes)
            if self._received.owes_ack:
                self._acknowledge()
            if self.backlog_s > self._limits.backlog_s:
                text = f"{self._limits.backlog_s:g} s of audio wait for recognition: resume and send more slowly"
                self._suspend(ErrorCode.TOO_FAST, text)
        return self._actions()

    def audio_finished(
        self, samples: NDArray[np.float32], source_samples: int, now: float, source_bytes: int = 0
    ) -> list[Action]:
        """The decoder gave its last samples, after `FinishAudio`; arguments as of `receive_audio`."""
        self._clock(now)
        if self.state in (State.STOPPING, State.STOPPING_DETACHED) and not self._recognition.finishing:
            self._add(samples, source_samples, source_bytes)
            self._acknowledge()
            self._to_worker(self._recognition.finish())
        return self._actions()

    def audio_damaged(
        self, message: str, samples: NDArray[np.float32], source_samples: int, now: float, source_bytes: int = 0
    ) -> list[Action]:
        """The decoder found no audio (its `AudioError`): what came before is still made final, then the session ends.

        Args:
            message: For the peer: what was expected and what to do.
            samples: [N] at 16 kHz, decoded before that place; may be empty. The others are as of `receive_audio`.
            source_samples: All samples that came in the session so far.
            now: Seconds.
            source_bytes: All bytes that came in the session so far.
        """
        self._clock(now)
        if self.active and not self._recognition.finishing:
            self._add(samples, source_samples, source_bytes)
            self._end(ErrorCode.INVALID_AUDIO, message, decoder_works=False)
        return self._actions()

    def disconnected(self, now: float, code: int = ABNORMAL_CLOSURE) -> list[Action]:
        """The session's current connection ended.

        Args:
            now: Seconds.
            code: Close code that the peer sent; 1006 without one.
        """
        self._clock(now)
        answered = self.state is State.FINISHED and code != ABNORMAL_CLOSURE  # so it has read all before it
        self._leave(Event.LEAVE if code == NORMAL_CLOSURE or answered else Event.DISCONNECT)
        return self._actions()

    def resumed(self, message: Resume, identity: Identity, now: float) -> list[Action]:
        """A connection asks for this session (see `rejoin`).

        Raises:
            WireError: for a wrong token or another identity, and for a client that misses finals which are not kept
                any more; nothing has changed then.
        """
        known = (self.state, Event.RESUME) in TRANSITIONS and identity == self.identity
        if not self._tokens.admits(message.resume) or not known:
            raise self.unknown()
        self._transcript.check(message.segments)
        self._clock(now)
        self._tokens.use(message.resume)
        self._go(Event.RESUME)
        self._heard, self._since, self._unsent, self._errors = self._now, self._now, 0, 0
        self._out.append(Takeover(ErrorCode.SUPERSEDED.close_code, "resumed on another connection"))
        self._send(self._ready())
        for missed in (*self._transcript.missed(message.segments), self._flushed, self._ending):
            if missed is not None:
                self._send(missed)
        self._unsent = 0  # as many finals as events may wait are kept, which would leave no room for what comes
        self._conclude()
        return self._actions()

    @staticmethod
    def unknown() -> WireError:
        """The refusal of a `Resume` that names no session; does not tell whether there is one of that name."""
        text = "expected a session and its latest token, within the time for resuming: start a new session"
        return WireError(ErrorCode.UNKNOWN_SESSION, text)

    # What the worker does

    def from_worker(self, message: worker.FromWorker, now: float) -> list[Action]:
        """The worker sent a message about this stream."""
        self._clock(now)
        if not self.active or not self._recognition.connected:
            return []
        try:
            self._take_from_worker(message)
            if self._recognition.held_s > self._limits.held_s:
                raise ValueError(f"expected to hold at most {self._limits.held_s:g} s of recognised audio")
        except ValueError as error:
            self.fault = f"{type(message).__name__}: {error}"
            self._fail(ErrorCode.INTERNAL, "recognition failed: start a new session")
        return self._actions()

    def _take_from_worker(self, message: worker.FromWorker) -> None:
        if isinstance(message, worker.Recognised):
            if message.position > self._recognition.position:
                self._deaths = 0
            self._recognition.recognised(message.position, message.keep_from, message.segment_ms, message.begun_ms)
            for news in self._transcript.hear(message):
                self._send(news)
        elif isinstance(message, worker.Flushed):
            self._flushed = Flushed(samples=self._recognition.flushed(message.keep_from))
            self._send(self._flushed)
        elif isinstance(message, worker.Finished) and self._go(Event.FINISH):
            self._conclude()
        elif isinstance(message, worker.Refused):
            self._recognition.connected = False  # the worker has forgotten the stream
            self._fail(ErrorCode.UNSUPPORTED if message.unsupported else ErrorCode.OVERLOADED, message.message)

    def worker_lost(self, now: float) -> list[Action]:
        """The worker died: nothing goes to it until `worker_ready`."""
        self._clock(now)
        if self._recognition.connected and self.active:
            self._recognition.connected, self._lost = False, self._now
            self._transcript.replaying()
            self._deaths += 1
            if self._deaths > self._limits.deaths:
                self.fault = f"{self._deaths} workers lost in a row"
                self._fail(ErrorCode.INTERNAL, "recognition failed again and again: start a new session")
        return self._actions()

    def worker_ready(self, now: float) -> list[Action]:
        """Another worker has a place for the stream: what is not final is recognised again there."""
        self._clock(now)
        if not self._recognition.connected and self.active:
            self._lost = None
            self._to_worker(self._recognition.replay(self._transcript.segments))
        return self._actions()

    # What the server does

    def sent(self, now: float) -> list[Action]:
        """A message of a `Send` was written to the connection."""
        self._clock(now)
        self._unsent = max(0, self._unsent - 1)
        return self._actions()

    def refuse(self, code: ErrorCode, message: str) -> list[Action]:
        """Something else went wrong: tells the client and closes.

        Args:
            code: What went wrong.
            message: For the peer: what was expected and what to do.
        """
        self._fail(code, message)
        return self._actions()

    def drain(self, now: float) -> list[Action]:
        """The server is about to stop: what came is made final, then the connection is closed.

        Call it for those that are left when the time for ending by themselves is over.
        """
        self._clock(now)
        if self.state is State.OPENING:
            self._fail(ErrorCode.SHUTTING_DOWN, "the server is stopping: try again later or elsewhere")
        elif self.state is State.OPEN:
            self._end(ErrorCode.SHUTTING_DOWN, "the server is stopping: start a new session later or elsewhere")
        elif self.state not in CONNECTED:
            self._leave(Event.LAPSE)
        return self._actions()

    def tick(self, now: float) -> list[Action]:
        """Time has passed: call at `next_deadline`, or every second."""
        self._clock(now)
        if self.full:
            self._heard = self._now  # it may well have something to say, but is not listened to
        for deadline, due in list(self._timers()):
            if self._now >= deadline:
                due()
                break
        return self._actions()

    def next_deadline(self) -> float:
        """When `tick` has something to do next, in seconds; infinity if never."""
        return min((deadline for deadline, _ in self._timers()), default=math.inf)
