"""A client that keeps to PROTOCOL.md, and the connection between it and a session, which may break anywhere."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from server.session import Action, Close, FinishAudio, Forget, Rejoin, Send, Session, Takeover, ToWorker, rejoin
from server.wire import (
    Ack,
    Done,
    Error,
    Final,
    Flush,
    Flushed,
    Partial,
    Ready,
    Resume,
    ServerMessage,
    Start,
    Stop,
    decode_server,
    encode,
)
from tests.server.session.fake_worker import FakeStream, FakeWorker
from tests.server.session.making import make_session


@dataclass
class Client:
    """What a client remembers: its audio since the last acknowledgement, and what it was told."""

    spoken: int = 0
    acked: int = 0
    sent: int = 0
    flushes: list[int] = field(default_factory=list)
    unanswered: deque[int] = field(default_factory=deque)
    stopped: bool = False
    ready: Ready | None = None
    finals: list[Final] = field(default_factory=list)
    partials: list[Partial] = field(default_factory=list)  # of the open segment
    done: Done | None = None

    def hear(self, message: ServerMessage) -> None:
        assert not isinstance(message, Error), message
        if isinstance(message, Final):
            assert message.segment == len(self.finals), "a final is missing, or came twice"
            for partial in self.partials:
                assert message.text.startswith(partial.text[: partial.stable])
            self.finals.append(message)
            self.partials = []
        elif isinstance(message, Partial):
            assert message.segment == len(self.finals)
            for partial in self.partials:
                assert message.text.startswith(partial.text[: partial.stable])
                assert message.audio_ms >= partial.audio_ms
            self.partials.append(message)
        elif isinstance(message, Ack):
            assert self.acked <= message.samples <= self.sent
            self.acked = message.samples
        elif isinstance(message, Flushed):
            while self.unanswered and self.unanswered[0] <= message.samples:
                self.unanswered.popleft()
        elif isinstance(message, Done):
            self.done = message


class World:
    """One session with its worker, its client, and their connection; time stands still unless told."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = make_session() if session is None else session
        self.now, self.streams = 0.0, 0
        self.worker = FakeWorker()
        self.client = Client()
        self.audio: list[NDArray[np.float32]] = []
        self.up: deque[str | NDArray[np.float32]] = deque()
        self.down: deque[str | Close] = deque()
        self.connected, self.worker_up, self.forgotten = True, True, False
        self.admitted = False  # whether `ready` came on this connection: nothing is sent before
        self.heard = 0  # samples that the decoder, a plain counter, has seen
        self.up.append(encode(Start(sample_rate=16_000, words=True)))

    # What executes actions, as the application does

    def execute(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self.down.append(encode(action.message))
            elif isinstance(action, Close):
                self.down.append(action)
            elif isinstance(action, ToWorker):
                assert self.worker_up
                self.worker.inbox.append(action.message)
            elif isinstance(action, FinishAudio):
                self.execute(self.session.audio_finished(np.zeros(0, np.float32), self.heard, self.now))
            elif isinstance(action, Forget):
                self.forgotten = True
            else:
                assert isinstance(action, Takeover)
                self.down.clear()

    # The connection

    def deliver_up(self) -> bool:
        if not self.connected or not self.up:
            return False
        frame = self.up.popleft()
        if isinstance(frame, str):
            self.execute(self.session.receive_text(frame, self.now))
        else:
            self.heard += len(frame)
            self.execute(self.session.receive_audio(frame, self.heard, self.now))
        return True

    def deliver_down(self) -> bool:
        if not self.connected or not self.down:
            return False
        frame = self.down.popleft()
        if isinstance(frame, Close):
            self.lose_connection()
            self.execute(self.session.disconnected(self.now, frame.code))
        else:
            self.execute(self.session.sent(self.now))
            message = decode_server(frame)
            self.client.hear(message)
            if isinstance(message, Ready):
                self.go_on(message)
        return True

    def lose_connection(self) -> None:
        self.connected = self.admitted = False
        self.up.clear()
        self.down.clear()

    def notice(self) -> None:
        """The server finds the connection gone."""
        self.execute(self.session.disconnected(self.now))

    def resume(self) -> None:
        """The client connects again; whether or not the server knows that it was gone."""
        ready = self.client.ready
        assert ready is not None and not self.connected
        self.connected = True
        message = Resume(session=ready.session, resume=ready.resume, segments=len(self.client.finals))
        self.streams += 1
        asking = Session(
            1000 + self.streams, self.session.identity, self.session._limits, self.now, self.session._model
        )
        (action,) = asking.receive_text(encode(message), self.now)
        assert isinstance(action, Rejoin)
        session, actions = rejoin(asking, {self.session.id: self.session, asking.id: asking}, action.message, self.now)
        assert session is self.session
        self.execute(actions)

    # What the client does

    def go_on(self, ready: Ready) -> None:
        """Sends again what the server does not have."""
        client = self.client
        assert client.acked <= ready.received_samples <= client.sent, "acknowledged audio was lost"
        self.admitted = True
        client.ready, position = ready, ready.received_samples
        audio = self.spoken()
        for mark in [flush for flush in client.flushes if flush >= position]:
            self.send_audio(audio[position:mark])
            self.up.append(encode(Flush()))
            position = mark
        self.send_audio(audio[position:])
        client.sent = len(audio)
        if client.stopped:
            self.up.append(encode(Stop()))

    def spoken(self) -> NDArray[np.float32]:
        return np.concatenate([np.zeros(0, np.float32), *self.audio])

    def send_audio(self, samples: NDArray[np.float32]) -> None:
        for start in range(0, len(samples), 4_000):
            self.up.append(samples[start : start + 4_000])

    def speak(self, samples: NDArray[np.float32]) -> None:
        self.audio.append(samples)
        self.client.spoken += len(samples)
        if self.admitted:
            self.send_audio(samples)
            self.client.sent = self.client.spoken

    def flush(self) -> None:
        self.client.flushes.append(self.client.spoken)
        self.client.unanswered.append(self.client.spoken)
        if self.admitted:
            self.up.append(encode(Flush()))

    def stop(self) -> None:
        self.client.stopped = True
        if self.admitted:
            self.up.append(encode(Stop()))

    # The worker

    def report(self) -> bool:
        if not self.worker.outbox:
            return False
        self.execute(self.session.from_worker(self.worker.outbox.popleft(), self.now))
        return True

    def kill_worker(self) -> None:
        self.worker.kill()
        self.worker_up = False
        self.execute(self.session.worker_lost(self.now))

    def new_worker(self) -> None:
        self.worker_up = True
        self.execute(self.session.worker_ready(self.now))

    # The end

    def step(self) -> bool:
        """A little happens everywhere; whether anything could."""
        return any([self.deliver_up(), self.worker.work(), self.report(), self.deliver_down()])

    def settle(self) -> None:
        """Everything that can happen happens."""
        while self.step():
            pass

    def undisturbed(self) -> list[tuple[str, tuple[str, ...]]]:
        """Texts and words of the same audio and flushes without any mishap."""
        from server.worker import messages as worker

        stream = FakeStream(worker.Open(stream=0, chunk_ms=100, silence_ms=600))
        audio, position, out = self.spoken(), 0, []
        for mark in self.client.flushes:
            out += stream.take(worker.Audio(stream=0, samples=audio[position:mark].tobytes()))
            out += stream.take(worker.Flush(stream=0))
            position = mark
        out += stream.take(worker.Audio(stream=0, samples=audio[position:].tobytes()))
        out += stream.take(worker.Finish(stream=0))
        events = [event for message in out if isinstance(message, worker.Recognised) for event in message.events]
        return [(e.text, tuple(w.word for w in e.words)) for e in events if isinstance(e, worker.Segment)]
