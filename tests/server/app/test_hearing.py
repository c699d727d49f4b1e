"""Decoding in a thread, while the connection or the session goes away."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter

from server.app.hearing import Hearing
from server.app.seat import Seat, Step
from server.audio import AudioError
from server.session import Identity, Limits, Session, State, ToWorker
from server.wire import ErrorCode, Start, encode
from server.worker.messages import Finish, Started

pytestmark = pytest.mark.asyncio

MODEL = Started(model="fake", chunks_ms=(320,), slots=1, lookahead_ms=0, device="cpu", phrase_lists=16)


class SlowDecoder:
    """Gives a sample a byte, when it is allowed to."""

    blocking = True

    def __init__(self) -> None:
        self.samples = self.received_bytes = 0
        self.go_on = threading.Event()
        self.error: Exception | None = None

    def decode(self, data: bytes) -> NDArray[np.float32]:
        assert self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        self.samples += len(data)
        self.received_bytes += len(data)
        return np.zeros(len(data), np.float32)

    def finish(self) -> NDArray[np.float32]:
        return self.decode(b"12")

    def realign(self) -> None:
        pass

    def close(self) -> None:
        pass


class World:
    """A session that has started, and what happened to it."""

    def __init__(self) -> None:
        self.session = Session(1, Identity("alice"), Limits(), 0.0, MODEL)
        self.session.receive_text(encode(Start(sample_rate=16_000)), 0.0)
        self.decoder = SlowDecoder()
        self.connection: Any = object()
        self.seat = Seat(self.session, self.connection, self.decoder, chunk_ms=320)
        self.actions: list[Any] = []
        self.failures: list[Exception] = []
        received = Counter("received", "", registry=CollectorRegistry())
        self.hearing = Hearing(100, received, self.run)
        self.seconds: Callable[[], float] = lambda: received._value.get()

    def run(self, seat: Seat, step: Step) -> None:
        try:
            self.actions += step(1.0)
        except Exception as error:
            self.failures.append(error)

    @property
    def received(self) -> int:
        return self.session._received.samples


@pytest.fixture
def world() -> World:
    return World()


async def in_thread(world: World) -> asyncio.Task[None]:
    """A frame that is being decoded."""
    task = asyncio.create_task(world.hearing.hear(world.seat, b"1234"))
    while not world.seat.decoding.locked():
        await asyncio.sleep(0)
    return task


async def test_audio_reaches_the_session(world: World) -> None:
    world.decoder.go_on.set()
    await world.hearing.hear(world.seat, bytes(100))
    assert world.received == 100
    assert world.seconds() == 100 / 16_000


async def test_what_was_taken_from_a_connection_is_heard_though_it_is_lost(world: World) -> None:
    task = await in_thread(world)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    world.decoder.go_on.set()
    await world.hearing.stop()
    assert world.received == 4


async def test_a_frame_that_waits_is_not_heard_after_a_takeover(world: World) -> None:
    first = await in_thread(world)
    second = asyncio.create_task(world.hearing.hear(world.seat, b"56"))
    await asyncio.sleep(0)
    world.seat.connection = object()  # whose client was told that 4 bytes came, or fewer, and sends the rest
    world.decoder.go_on.set()
    await asyncio.gather(first, second)
    assert world.received == 4
    assert world.decoder.received_bytes == 4


async def test_what_is_being_decoded_when_the_server_ends_the_session_is_heard(world: World) -> None:
    task = await in_thread(world)
    world.session.drain(1.0)
    world.hearing.finish(world.seat)
    world.decoder.go_on.set()
    await task
    await world.hearing.stop()
    assert world.received == 6
    audio, finish = (action.message for action in world.actions if isinstance(action, ToWorker))
    assert len(audio.samples) == 6 * 4
    assert isinstance(finish, Finish)


async def test_a_long_frame_is_refused(world: World) -> None:
    await world.hearing.hear(world.seat, bytes(101))
    message = world.actions[0].message
    assert (message.code, message.message) == (
        ErrorCode.MESSAGE_TOO_BIG,
        "expected at most 100 bytes of audio in a frame, got 101",
    )


@pytest.mark.parametrize("blocking", [True, False])
async def test_audio_that_is_none_is_refused(world: World, blocking: bool) -> None:
    world.decoder.blocking = blocking
    world.decoder.go_on.set()
    world.decoder.error = AudioError("expected audio")
    world.decoder.error.samples = np.ones(320, np.float32)
    await world.hearing.hear(world.seat, b"12")
    audio, error, finish = (action.message for action in world.actions)
    assert error.code == ErrorCode.INVALID_AUDIO
    assert audio.samples == world.decoder.error.samples.tobytes()  # before the damage
    assert isinstance(finish, Finish)
    assert world.session.state is State.STOPPING
    assert world.seconds() == 320 / 16_000
    before = len(world.actions)
    await world.hearing.hear(world.seat, b"12")
    assert len(world.actions) == before  # it is not told again


async def test_an_end_that_is_none_is_refused(world: World) -> None:
    world.decoder.go_on.set()
    world.decoder.error = AudioError("expected more")
    world.session.receive_text('{"type":"stop"}', 1.0)
    world.hearing.finish(world.seat)
    await world.hearing.stop()
    assert world.actions[0].message.code == ErrorCode.INVALID_AUDIO
    assert world.actions[-1].message.stream == 1  # the worker is told to finish


async def test_what_was_decoded_before_an_end_that_is_none_is_heard(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off() -> None:
        error = AudioError("expected more")
        error.samples = np.ones(3, np.float32)
        raise error

    monkeypatch.setattr(world.decoder, "finish", break_off)
    task = await in_thread(world)
    world.session.receive_text('{"type":"stop"}', 1.0)
    world.hearing.finish(world.seat)
    world.decoder.go_on.set()
    await task
    await world.hearing.stop()
    (audio, finish) = (action.message for action in world.actions if isinstance(action, ToWorker))
    assert np.frombuffer(audio.samples, "<f4").tolist() == [0.0] * 4 + [1.0] * 3
    assert isinstance(finish, Finish)


async def test_a_decoder_that_fails_is_a_fault_of_ours(world: World) -> None:
    world.decoder.go_on.set()
    world.decoder.error = RuntimeError("broken")
    await world.hearing.hear(world.seat, b"12")
    assert [str(failure) for failure in world.failures] == ["broken"]


async def test_a_decoder_that_was_closed_meanwhile_is_none(world: World) -> None:
    task = await in_thread(world)
    world.session.refuse(ErrorCode.OVERLOADED, "enough")
    world.decoder.error = RuntimeError("closed")
    world.decoder.go_on.set()
    await task
    assert world.failures == []


async def test_background_work_is_waited_for_at_the_end(world: World) -> None:
    done: list[int] = []
    world.hearing.background(lambda: done.append(1))
    await world.hearing.stop()
    assert done == [1]
