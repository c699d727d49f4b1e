"""Whatever breaks whenever: the client's transcript is the undisturbed one, and nothing acknowledged is lost."""

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from server.session import Limits, State
from tests.server.session.client_model import World
from tests.server.session.making import audio, make_session

ROOMY = Limits(
    idle_s=1e6,
    session_s=1e6,
    resume_s=1e6,
    worker_s=1e6,
    backlog_s=1e6,
    held_s=1e6,
    events=1000,
    deaths=10**6,
    errors=3,
)
few = st.integers(1, 6)
pauses = st.sampled_from([0, 0, 3_200, 5_000])  # samples; two chunks always hold a whole one


class SessionMachine(RuleBasedStateMachine):
    """A client speaks, pauses, flushes and stops; connections and workers come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(make_session(ROOMY))
        self.seed = 0
        self.world.settle()

    @property
    def lost(self) -> bool:
        return not self.world.connected

    @precondition(lambda self: not self.world.client.stopped)
    @rule(seconds=st.floats(0.0001, 0.8), pause=pauses)
    def speak(self, seconds: float, pause: int) -> None:
        self.seed += 1
        self.world.speak(np.concatenate([audio(seconds, self.seed), np.zeros(pause, np.float32)]))

    @precondition(lambda self: not self.world.client.stopped)
    @rule()
    def flush(self) -> None:
        self.world.flush()

    @precondition(lambda self: not self.world.client.stopped and len(self.world.audio) > 2)
    @rule()
    def stop(self) -> None:
        self.world.stop()

    @rule(times=few)
    def frames_arrive(self, times: int) -> None:
        for _ in range(times):
            self.world.deliver_up()

    @rule(times=few)
    def events_arrive(self, times: int) -> None:
        for _ in range(times):
            self.world.deliver_down()

    @rule(times=few)
    def worker_works(self, times: int) -> None:
        for _ in range(times):
            self.world.worker.work()

    @rule(times=few)
    def worker_reports(self, times: int) -> None:
        for _ in range(times):
            self.world.report()

    @rule(times=st.integers(1, 40))
    def all_goes_on(self, times: int) -> None:
        for _ in range(times):
            self.world.step()

    @precondition(lambda self: self.world.worker_up and self.world.session.start)
    @rule()
    def worker_dies(self) -> None:
        self.world.kill_worker()

    @precondition(lambda self: not self.world.worker_up)
    @rule()
    def another_worker(self) -> None:
        self.world.new_worker()

    @precondition(lambda self: self.world.connected and self.world.client.ready and not self.world.client.done)
    @rule(noticed=st.booleans())
    def connection_breaks(self, noticed: bool) -> None:
        self.world.lose_connection()
        if noticed:
            self.world.notice()

    @precondition(lambda self: self.lost and not self.world.client.done)
    @rule()
    def client_resumes(self) -> None:
        self.world.resume()

    @rule(seconds=st.floats(0, 5))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds
        self.world.execute(self.world.session.tick(self.world.now))

    @invariant()
    def ledger_holds_what_is_not_final(self) -> None:
        ledger = self.world.session._recognition.ledger
        stream = self.world.worker.stream
        assert ledger.end - ledger.start == sum(map(len, ledger.between(ledger.start, ledger.end)))
        if stream is not None and self.world.session.active:
            assert ledger.start <= stream.keep_from

    def teardown(self) -> None:
        world = self.world
        if not world.worker_up:
            world.new_worker()
        if not world.client.stopped:
            world.stop()
        world.settle()
        if not world.connected and world.client.done is None:
            world.resume()
            world.settle()
        done = world.client.done
        assert done is not None
        assert world.session.state is State.DONE and world.forgotten
        assert [(f.text, tuple(w.word for w in f.words)) for f in world.client.finals] == world.undisturbed()
        assert (done.samples, done.segments) == (world.client.spoken, len(world.client.finals))
        assert not world.client.unanswered


TestSession = SessionMachine.TestCase
TestSession.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
