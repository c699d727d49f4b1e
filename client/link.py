"""Keeping a session connected."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from client.backoff import Backoff
from client.broadcast import Broadcast
from client.dial import Dial
from client.errors import ConnectionFailedError, ConnectionLostError, EarshotError, RefusedError, ServerProtocolError
from client.inbox import Event
from client.policy import TRANSIENT
from client.session import Session
from client.states import State

Sleep = Callable[[float], Awaitable[None]]

# Close codes, RFC 6455, section 7.4.1. The server takes NORMAL_CLOSURE for the end of the session.
NORMAL_CLOSURE, GOING_AWAY, PROTOCOL_ERROR = 1000, 1001, 1002


class Link:
    """Connects, carries frames both ways, and connects again when the connection is lost.

    Args:
        session: The state machine; what it waits for is announced by `changed`.
        dial: Makes connections.
        backoff: When to make them again.
        timeout_s: For the server's answer to a greeting, in seconds.
        changed: Woken after everything that came, and waited on for something to send.
        deliver: Takes events.
        sleep: Waits, in seconds.
        clock: The time in seconds.
    """

    def __init__(
        self,
        session: Session,
        dial: Dial,
        backoff: Backoff,
        timeout_s: float,
        changed: Broadcast,
        deliver: Callable[[Event], None],
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Does not connect yet."""
        self._session, self._dial, self._backoff = session, dial, backoff
        self._timeout_s, self._changed, self._deliver = timeout_s, changed, deliver
        self._sleep, self._clock = sleep, clock
        self._delays = backoff.delays()
        self._lost_at = clock()
        self._reason: EarshotError | None = None  # why the newest attempt to come back failed

    async def run(self) -> None:
        """Returns when the session is done.

        Raises:
            EarshotError: if it is over for another reason. The first connection is tried once.
        """
        connection = await self._dial()
        while True:
            await self._serve(connection)
            if self._session.state is State.DONE:
                return
            connection = await self._redial()

    async def _redial(self) -> ClientConnection:
        """A new connection, after one was lost."""
        while True:
            delay = next(self._delays)
            lost_s = self._clock() - self._lost_at
            if self._reason is not None and lost_s + delay > self._backoff.give_up_s:
                text = f"no connection for {lost_s:.0f} s; the last attempt: {self._reason}"
                raise ConnectionLostError(text) from self._reason
            await self._sleep(delay)
            try:
                return await self._dial()
            except ConnectionFailedError as error:
                self._reason = error
            except RefusedError as error:
                if error.code not in TRANSIENT:
                    raise
                self._reason = error

    async def _serve(self, connection: ClientConnection) -> None:
        """Carries frames until the connection ends."""
        close_code = NORMAL_CLOSURE
        try:
            await self._exchange(connection)
        except ConnectionClosed:
            pass
        except TimeoutError:
            close_code = GOING_AWAY
            self._reason = ConnectionFailedError(f"no answer within {self._timeout_s:g} s of connecting")
            if self._session.ready is None:
                raise self._reason from None
        except ServerProtocolError:
            close_code = PROTOCOL_ERROR
            raise
        finally:
            await _close(connection, close_code)
            self._changed.wake()
        lost = self._session.state is State.OPEN
        error = self._session.disconnected(connection.close_code, connection.close_reason or "")
        if error is not None:
            raise error
        if lost:
            self._delays, self._lost_at, self._reason = self._backoff.delays(), self._clock(), None
        elif self._reason is None:
            told = connection.close_reason or "no reason given"
            self._reason = ConnectionFailedError(f"closed with code {connection.close_code} ({told})")

    async def _exchange(self, connection: ClientConnection) -> None:
        await connection.send(self._session.greeting())
        async with asyncio.timeout(self._timeout_s):
            while self._session.state is State.GREETING:
                self._take(await connection.recv())
        sender = asyncio.create_task(self._send_all(connection))
        try:
            while self._session.state is State.OPEN:
                self._take(await connection.recv())
        finally:
            sender.cancel()
            (result,) = await asyncio.gather(sender, return_exceptions=True)
        if isinstance(result, Exception):
            raise result

    def _take(self, frame: str | bytes) -> None:
        for event in self._session.receive(frame):
            self._deliver(event)
        self._changed.wake()

    async def _send_all(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._changed.until(lambda: self._session.has_frame)
                frame = self._session.next_frame()
                if frame is not None:
                    await connection.send(frame)


async def _close(connection: ClientConnection, code: int) -> None:
    """Closes in order, or at once if there is no time for that: a half-closed connection would stay open."""
    try:
        await connection.close(code)
    except asyncio.CancelledError:
        connection.transport.abort()
        raise
