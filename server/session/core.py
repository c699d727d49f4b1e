"""What a session does about what happens to it: the steps that `Session` composes."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from server.session.actions import Action, Close, FinishAudio, Forget, Send, ToWorker
from server.session.identity import Identity
from server.session.limits import Limits
from server.session.received import Received
from server.session.recognition import Recognition
from server.session.states import ACTIVE, CLIENT_EVENTS, CONNECTED, TRANSITIONS, Event, State
from server.session.tokens import ResumeTokens
from server.session.transcript import SessionTranscript
from server.wire import Ack, Attention, Encoding, Error, ErrorCode, Flushed, Partial, Ready, ServerMessage, Start
from server.worker import messages as worker

NORMAL_CLOSURE = 1000  # RFC 6455, section 7.4.1
REASON_BYTES = 123  # RFC 6455, section 5.5: a control frame's 125 without the code


class SessionCore:
    """A session's parts and steps; see `Session`, which documents the arguments."""

    def __init__(
        self,
        stream: int,
        identity: Identity,
        limits: Limits,
        now: float,
        model: worker.Started,
        tokens: Callable[[], str],
    ) -> None:
        """Starts in `State.OPENING`."""
        self.id, self.stream, self.identity = tokens(), stream, identity
        self.state = State.OPENING
        self.start: Start | None = None
        self.fault: str | None = None
        self._limits, self._model = limits, model
        self._tokens = ResumeTokens(tokens)
        self._recognition = Recognition(worker.Open(stream=stream, chunk_ms=model.chunks_ms[0], silence_ms=0))
        self._transcript = SessionTranscript(words=False, kept=limits.events)
        self._received = Received()
        self._flushed: Flushed | None = None  # the latest
        self._ending: Error | None = None  # why the server ends the session
        self._now = self._opened = self._heard = self._since = now  # the latest; `start`; the client; this state
        self._lost: float | None = None  # when the worker was
        self._unsent = self._errors = self._deaths = 0
        self._out: list[Action] = []

    @property
    def active(self) -> bool:
        """Whether it holds a worker's place: counts towards the streams of its identity and of the server."""
        return self.state in ACTIVE

    @property
    def backlog_s(self) -> float:
        """Seconds of audio that wait for recognition."""
        return self._recognition.backlog_s

    def _clock(self, now: float) -> None:
        self._now = max(self._now, now)

    def _hear_client(self, now: float) -> None:
        """The client is there, and has read what it was sent when the connection opened."""
        self._clock(now)
        self._heard = self._now
        if self.state in CONNECTED:
            self._tokens.confirm()

    def _go(self, event: Event) -> bool:
        """Whether the event can happen now; then it has."""
        state = TRANSITIONS.get((self.state, event))
        if state is None:
            return False
        if state is not self.state:
            self._since = self._now
        self.state = state
        return True

    def _allows(self, event: Event) -> bool:
        """Whether the client may do this now; tells it if not."""
        if (self.state, event) in TRANSITIONS:
            return True
        choices = ", ".join(name for other, name in CLIENT_EVENTS.items() if (self.state, other) in TRANSITIONS)
        self._object(ErrorCode.UNEXPECTED_MESSAGE, f"expected one of {choices}, got {CLIENT_EVENTS[event]}")
        return False

    def _actions(self) -> list[Action]:
        """What is to be done, once."""
        if self._unsent > self._limits.events and self._go(Event.SUSPEND):
            self._unsent = 0
            self._out.append(Close(ErrorCode.TOO_SLOW.close_code, "events were not read: resume", abort=True))
        out, self._out = self._out, []
        return out

    def _send(self, message: ServerMessage) -> None:
        """Tells a connected client; a slow one is spared what later messages make superfluous."""
        passing = isinstance(message, Partial | Attention | Ack) and self._unsent >= self._limits.events // 2
        if self.state in CONNECTED and not passing:
            self._unsent += 1
            self._out.append(Send(message))

    def _to_worker(self, messages: Iterable[worker.ToWorker]) -> None:
        self._out.extend(map(ToWorker, messages))

    def _begin(self, start: Start) -> None:
        chunk_ms = self._model.chunks_ms[0] if start.chunk_ms is None else start.chunk_ms
        if chunk_ms not in self._model.chunks_ms:
            choices = ", ".join(map(str, self._model.chunks_ms))
            self._fail(ErrorCode.UNSUPPORTED, f"expected chunk_ms to be one of {choices}, got {chunk_ms}")
            return
        self._go(Event.START)
        self.start, self._opened = start, self._now
        opening = worker.Open(
            stream=self.stream,
            chunk_ms=chunk_ms,
            silence_ms=start.endpoint.silence_ms,
            phrases=start.phrases,
            attention=start.attention,
        )
        self._recognition = Recognition(opening)
        self._transcript = SessionTranscript(words=start.words, kept=self._limits.events)
        self._to_worker([opening])
        self._send(self._ready())

    def _ready(self) -> Ready:
        return Ready(
            session=self.id,
            resume=self._tokens.current,
            chunk_ms=self._recognition.opening.chunk_ms,
            lookahead_ms=self._model.lookahead_ms,
            model=self._model.model,
            received_samples=self._received.samples,
            received_bytes=self._received.bytes if self._of_container else UNSET,
        )

    @property
    def _of_container(self) -> bool:
        return self.start is not None and self.start.encoding is Encoding.CONTAINER

    def _add(self, samples: NDArray[np.float32], source_samples: int, source_bytes: int) -> None:
        self._received.add(len(samples), source_samples, source_bytes)
        self._to_worker(self._recognition.audio(samples))

    def _acknowledge(self) -> None:
        self._send(self._received.ack(self._of_container))

    def _flush(self) -> None:
        if self.state is not State.OPEN:
            return  # everything becomes final as it is
        if self._recognition.flushes >= self._limits.events:
            text = f"{self._limits.events} flushes wait for recognition: resume, and wait for `flushed`"
            self._suspend(ErrorCode.TOO_FAST, text)
        else:
            self._to_worker(self._recognition.flush(self._received.samples))

    def _object(self, code: ErrorCode, text: str) -> None:
        """Refuses a message: an open session is as it was before, unless that happened too often."""
        if self._ending is not None or self.state not in (State.OPENING, State.OPEN, State.STOPPING):
            return  # the client does not know yet that it is over
        self._errors += 1
        if self.state is State.OPENING or self._errors > self._limits.errors:
            self._fail(code, text)
        else:
            self._send(Error(code=code, message=text))

    def _suspend(self, code: ErrorCode, text: str) -> None:
        """Closes the connection; the client may come back."""
        self._send(Error(code=code, message=text))
        if self._go(Event.SUSPEND):
            self._unsent = 0
            self._close(code.close_code, text)

    def _end(self, code: ErrorCode, text: str, decoder_works: bool = True) -> None:
        """No more audio: what came is made final, then the connection is closed."""
        self._ending = Error(code=code, message=text)
        self._send(self._ending)
        if self._go(Event.END):
            if decoder_works:
                self._out.append(FinishAudio())
            else:
                self._to_worker(self._recognition.finish())

    def _conclude(self) -> None:
        """Everything is final."""
        if self.state is State.FINISHED:
            rate = self.start.sample_rate if self.start is not None and not self._of_container else None
            self._send(self._received.done(self._transcript.segments, rate))
            ending = self._ending
            self._close(*((ending.code.close_code, ending.message) if ending else (NORMAL_CLOSURE, "done")))

    def _fail(self, code: ErrorCode, text: str) -> None:
        """Gives the session up."""
        connected, active = self.state in CONNECTED, self.active
        self._send(Error(code=code, message=text))
        if self._go(Event.FAIL):
            if connected:
                self._close(code.close_code, text)
            self._forget(active)

    def _leave(self, event: Event) -> None:
        """The client went, for good or for now."""
        active = self.active
        if self._go(event):
            self._unsent = 0
            if self.state is State.DONE:
                self._forget(active)

    def _forget(self, active: bool) -> None:
        if active:
            self._to_worker(self._recognition.drop())
        self._out.append(Forget())

    def _close(self, code: int, text: str) -> None:
        reason = text.encode("utf-8", "replace")[:REASON_BYTES].decode("utf-8", "ignore")
        self._out.append(Close(code, reason))

    def _timers(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """What is due at which time, in seconds."""
        limits = self._limits
        if self.state is State.OPENING:
            text = f"expected a message within {limits.idle_s:g} s of connecting"
            yield self._since + limits.idle_s, lambda: self._fail(ErrorCode.IDLE_TIMEOUT, text)
        if self.state is State.OPEN:
            idle = f"neither audio nor a message for {limits.idle_s:g} s: start a new session"
            yield self._heard + limits.idle_s, lambda: self._end(ErrorCode.IDLE_TIMEOUT, idle)
            long = f"a session may last {limits.session_s:g} s: start a new one"
            yield self._opened + limits.session_s, lambda: self._end(ErrorCode.SESSION_TOO_LONG, long)
        if self.active and self._lost is not None:
            text = f"no worker for {limits.worker_s:g} s: start a new session later or elsewhere"
            yield self._lost + limits.worker_s, lambda: self._fail(ErrorCode.OVERLOADED, text)
        if self.state is State.FINISHED or (self.state not in CONNECTED and self.state is not State.DONE):
            yield self._since + limits.resume_s, lambda: self._leave(Event.LAPSE)
