"""All sessions: gives them what happens and does what they say."""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Iterable

from server.app.admission import Refusal, admit
from server.app.connection import Connection
from server.app.hearing import Hearing
from server.app.logs import fields
from server.app.metrics import Metrics
from server.app.seat import Seat, Step
from server.pool import Pool
from server.session import (
    Action,
    Close,
    FinishAudio,
    Forget,
    Identity,
    Rejoin,
    Send,
    Session,
    State,
    Takeover,
    ToWorker,
    rejoin,
)
from server.settings import Settings
from server.wire import Error, ErrorCode
from server.worker.messages import FromWorker, Open, Recognised, Started

logger = logging.getLogger(__name__)


class Sessions:
    """Has no protocol logic: it calls `Session` and executes the actions that it returns, in order.

    Args:
        settings: Of the server.
        metrics: What is counted.
        pool: Where streams are recognised; its callbacks are `from_worker`, `lost` and `ready`.

    Attributes:
        draining: Whether the server takes no new sessions any more.
        hearing: Takes their audio.
        changed: Set whenever something has happened to a session.
    """

    def __init__(self, settings: Settings, metrics: Metrics, pool: Pool) -> None:
        """Starts without sessions."""
        self.draining = False
        self.changed = asyncio.Event()
        self._settings, self._metrics, self._pool = settings, metrics, pool
        self._limits = settings.limits
        self._seats: dict[int, Seat] = {}  # by stream
        self._sessions: dict[str, Session] = {}  # by id
        self._connected: dict[Connection, Seat] = {}
        self._numbers = itertools.count(1)
        self.hearing = Hearing(settings.frame_bytes, metrics.received, self.run)

    @property
    def seats(self) -> list[Seat]:
        """Those that are not over."""
        return list(self._seats.values())

    @property
    def active(self) -> int:
        """Sessions that hold a worker's slot."""
        return sum(seat.session.active for seat in self._seats.values())

    def seat_of(self, connection: Connection) -> Seat | None:
        """The session that a connection belongs to, if there is one."""
        return self._connected.get(connection)

    # What happens

    def connect(self, connection: Connection, identity: Identity, model: Started) -> None:
        """A connection was admitted: it gets a session of its own, until it asks for another.

        Args:
            connection: Open.
            identity: Of its token.
            model: What the workers serve.
        """
        session = Session(next(self._numbers), identity, self._limits, self._now(), model)
        seat = self._seats[session.stream] = self._connected[connection] = Seat(session, connection)
        self._sessions[session.id] = session
        seat.settle(self._now(), self._on_time)

    def disconnected(self, connection: Connection, code: int) -> None:
        """A connection is over."""
        seat = self._connected.pop(connection, None)
        if seat is not None:
            seat.connection = None
            self.run(seat, lambda now: seat.session.disconnected(now, code))

    def sent(self, connection: Connection) -> None:
        """A message was written to a connection."""
        seat = self._connected.get(connection)
        if seat is not None:
            self.run(seat, seat.session.sent)

    async def text(self, seat: Seat, frame: str) -> None:
        """A text frame came."""
        wish = self.run(seat, lambda now: seat.session.receive_text(frame, now))
        if wish is not None:
            await self._rejoin(seat, wish)

    def from_worker(self, message: FromWorker) -> None:
        """A worker said something about a stream."""
        seat = None if isinstance(message, Started) else self._seats.get(message.stream)
        if seat is None:
            return
        if isinstance(message, Recognised):
            self._metrics.recognised(message, seat.chunk_ms)
        self.run(seat, lambda now: seat.session.from_worker(message, now))
        if not seat.session.active:  # the worker is done with it, though its client may still have to read that
            self._pool.close(seat.session.stream)

    def lost(self, streams: Iterable[int]) -> None:
        """Streams lost their worker."""
        for seat in self._present(streams):
            self.run(seat, seat.session.worker_lost)

    def ready(self, streams: Iterable[int]) -> None:
        """Streams have a worker again."""
        for seat in self._present(streams):
            self._metrics.replays.inc()
            self.run(seat, seat.session.worker_ready)

    def run(self, seat: Seat, step: Step, newcomer: Connection | None = None) -> Rejoin | None:
        """Let something happen to a session and do what it says.

        A fault of ours in one session ends that session, and nothing else.

        Args:
            seat: Of the session.
            step: What happens.
            newcomer: The connection that takes the session over, if one may.

        Returns:
            The wish for another session, which can take time to fulfil.
        """
        wish = None
        try:
            wish = self._execute(seat, step(self._now()), newcomer)
        except Exception:
            logger.exception("a session failed", extra=fields(session=seat.session.id))
            self._give_up(seat)
        if seat.session.stream in self._seats:
            seat.settle(self._now(), self._on_time)
        self.changed.set()
        return wish

    async def stop(self) -> None:
        """The server ends: no time passes any more, and what threads still do is waited for."""
        for seat in self.seats:
            self._forget(seat)
        await self.hearing.stop()

    # What is to be done

    def _execute(self, seat: Seat, actions: Iterable[Action], newcomer: Connection | None = None) -> Rejoin | None:
        """Do what the session says; `newcomer` is the connection of a `Takeover`."""
        todo = deque(actions)
        while todo:
            action = todo.popleft()
            if isinstance(action, Send):
                self._send(seat, action)
            elif isinstance(action, Close):
                if seat.connection is not None:
                    seat.connection.close(action.code, action.reason, discard=action.abort)
            elif isinstance(action, ToWorker):
                if (refusal := self._to_worker(seat, action)) is not None:
                    todo = deque(seat.session.refuse(*refusal))
            elif isinstance(action, FinishAudio):
                self.hearing.finish(seat)
            elif isinstance(action, Takeover):
                self._take_over(seat, action, newcomer)
            elif isinstance(action, Forget):
                self._forget(seat)
            else:
                return action
        return None

    def _send(self, seat: Seat, action: Send) -> None:
        """Queue a message for the client."""
        if isinstance(action.message, Error):
            self._metrics.refused(action.message.code)
            logger.info("refused", extra=self._about(seat, code=action.message.code.value))
        if seat.connection is not None:
            seat.connection.send(action.message)

    def _to_worker(self, seat: Seat, action: ToWorker) -> Refusal | None:
        """Hand on a message; the first one takes a slot, or says why there is none."""
        if isinstance(action.message, Open) and not seat.chunk_ms:
            refusal = self._open(seat, action.message)
            if refusal is not None:
                return refusal
        self._pool.send(action.message)
        return None

    def _open(self, seat: Seat, message: Open) -> Refusal | None:
        """Start a session, or say why not."""
        if self.draining:
            return ErrorCode.SHUTTING_DOWN, "the server is stopping: try again later or elsewhere"
        refusal = admit(seat, self.seats, self._settings, self._pool)
        if refusal is None:
            self._bound_finished()
            seat.chunk_ms, seat.opened = message.chunk_ms, self._now()
            self._metrics.opened.inc()
            logger.info("session opened", extra=self._about(seat, chunk_ms=message.chunk_ms))
        return refusal

    def _bound_finished(self) -> None:
        """Make room for one more session that is finished and waits for its client.

        They take no slot, so nothing else bounds how many of them clients leave behind within the time for resuming.
        """
        waiting = [seat for seat in self.seats if seat.session.state is State.FINISHED_DETACHED]
        if len(waiting) >= self._settings.max_streams:
            self._forget(min(waiting, key=lambda seat: seat.session.next_deadline()))

    async def _rejoin(self, asking: Seat, wish: Rejoin) -> None:
        """Find the session that a connection wants; once what was received for it before has been decoded."""
        wanted = self._sessions.get(wish.message.session)
        wanted_seat = None if wanted is None else self._seats.get(wanted.stream)
        async with (wanted_seat or asking).decoding:
            newcomer = asking.connection
            if newcomer is None or asking.session.stream not in self._seats:
                return  # it was lost meanwhile
            found, actions = rejoin(asking.session, self._sessions, wish.message, self._now())
            seat = self._seats[found.stream]
            if seat is not asking:
                self._forget(asking)
            self.run(seat, lambda now: actions, newcomer)

    def _take_over(self, seat: Seat, action: Takeover, newcomer: Connection | None) -> None:
        """Let the session go on with another connection."""
        assert newcomer is not None
        if seat.connection is not None:
            self._connected.pop(seat.connection, None)
            seat.connection.close(action.code, action.reason, discard=True)
        seat.connection = newcomer
        self._connected[newcomer] = seat
        if seat.decoder is not None:
            seat.decoder.realign()
        self._metrics.resumed.inc()
        logger.info("session resumed", extra=self._about(seat))

    def _forget(self, seat: Seat) -> None:
        """The session is over."""
        session = seat.session
        if self._seats.pop(session.stream, None) is None:
            return
        self._sessions.pop(session.id, None)
        self._pool.close(session.stream)
        seat.stop_timer()
        seat.room.set()
        if seat.decoder is not None:
            if seat.decoder.blocking:
                self.hearing.background(seat.decoder.close)
            else:
                seat.decoder.close()
        if seat.chunk_ms:
            duration_s = self._now() - seat.opened
            self._metrics.durations.observe(duration_s)
            about = self._about(seat, seconds=round(duration_s, 3), fault=session.fault)
            logger.info("session ended", extra=about)

    def _give_up(self, seat: Seat) -> None:
        """End a session that we failed."""
        try:
            self._execute(seat, seat.session.refuse(ErrorCode.INTERNAL, "the server failed: start a new session"))
        except Exception:
            logger.exception("a session could not be ended", extra=fields(session=seat.session.id))
        if seat.connection is not None:
            seat.connection.close(ErrorCode.INTERNAL.close_code, "")
        self._forget(seat)

    def _on_time(self, seat: Seat) -> None:
        """A session's deadline has come."""
        self.run(seat, seat.session.tick)

    def _present(self, streams: Iterable[int]) -> list[Seat]:
        """The seats of streams, of those that are not over."""
        return [self._seats[stream] for stream in streams if stream in self._seats]

    @staticmethod
    def _about(seat: Seat, **values: object) -> dict[str, dict[str, object]]:
        """What log lines say of a session."""
        return fields(session=seat.session.id, identity=seat.session.identity.name, **values)

    @staticmethod
    def _now() -> float:
        """The event loop's time, in seconds: never goes back."""
        return asyncio.get_running_loop().time()
