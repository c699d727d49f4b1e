"""Raw frames at random: a proper refusal and nothing else comes out, and other sessions are as they were."""

import json
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.session import Action, Close, FinishAudio, Forget, Rejoin, Send, Session, State, ToWorker, rejoin
from server.wire import Error, Resume, Start, decode_server, encode
from tests.server.session.making import audio, make_session, recognised, segment

FRAMES = [
    '{"type":"start","sample_rate":16000}',
    '{"type":"start","encoding":"container","words":true}',
    '{"type":"start","sample_rate":48000,"chunk_ms":100,"phrases":["a"],"endpoint":{"silence_ms":600}}',
    '{"type":"flush"}',
    '{"type":"stop"}',
    '{"type":"resume","session":"token-0","resume":"token-1"}',
    '{"type":"resume","session":"token-0","resume":"token-1","segments":3}',
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes | str:
    """A message with some bytes changed, left out, doubled or put in."""
    frame = bytearray(draw(st.sampled_from(FRAMES)).encode())
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(frame)))
        frame[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(frame) if draw(st.booleans()) else frame.decode("utf-8", "replace")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
objects = st.builds(
    lambda kind, rest: json.dumps({"type": kind, **rest}),
    st.sampled_from(["start", "resume", "flush", "stop", "ready", "error", ""]),
    st.dictionaries(
        st.sampled_from(["sample_rate", "encoding", "words", "session", "resume", "chunk_ms", "x"]), json_values
    ),
)
texts = st.one_of(st.sampled_from(FRAMES), damaged(), objects, st.binary(max_size=60), st.text(max_size=60))
binaries = st.integers(0, 2_000)  # samples
frames = st.lists(texts | binaries, min_size=1, max_size=12)


def bystander() -> Session:
    session = make_session()
    session.receive_text(encode(Start(sample_rate=16_000)), 0.0)
    session.receive_audio(audio(0.3), 4_800, 0.0)
    session.from_worker(recognised(segment(0, "a"), position=1_600, keep_from=1_600), 0.0)
    session.disconnected(0.0)
    return session


def feed(session: Session, frame: str | bytes | int, counted: int, others: dict[str, Session]) -> list[Action]:
    if isinstance(frame, int):
        samples = np.zeros(frame if session.accepts_audio else 0, np.float32)
        return session.receive_audio(samples, counted, 1.0)
    actions = session.receive_text(frame, 1.0)
    if actions and isinstance(actions[0], Rejoin):
        assert len(actions) == 1
        if actions[0].message.resume == "token-1":  # the right one, by chance: spoil it
            message = Resume(session=actions[0].message.session, resume="token-2")
        else:
            message = actions[0].message
        found, actions = rejoin(session, others, message, 1.0)
        assert found is session
    return actions


def check(noise: list[bytes | str | int]) -> Counter[str]:
    """Sends a session noise; what came of it, by the codes of refusals."""
    other = bystander()
    before = (other.state, other.backlog_s, other._recognition.ledger.start, other._transcript.segments)
    session = Session(9, other.identity, other._limits, 0.0, other._model)
    counted, outcomes = 0, Counter({"frames": len(noise)})
    for frame in noise:
        counted += frame if isinstance(frame, int) else 0
        was = session.state
        actions = feed(session, frame, counted, {other.id: other, session.id: session})
        for action in actions:
            assert isinstance(action, Send | Close | ToWorker | FinishAudio | Forget)
            if isinstance(action, Send):
                assert decode_server(encode(action.message)) == action.message
            if isinstance(action, ToWorker):
                assert getattr(action.message, "stream", None) == 9
        errors = [
            action.message for action in actions if isinstance(action, Send) and isinstance(action.message, Error)
        ]
        outcomes.update(error.code.value for error in errors)
        closed = any(isinstance(action, Close) for action in actions)
        if errors and not closed:
            assert session.state is was, "a refusal that does not close changes nothing"
        if closed:
            assert errors and isinstance(actions[-1], Forget) and session.state is State.DONE
        if was is State.DONE:
            assert actions == []
    assert before == (other.state, other.backlog_s, other._recognition.ledger.start, other._transcript.segments)
    assert other.resumed(Resume(session=other.id, resume="token-1"), other.identity, 2.0)
    return outcomes


@settings(max_examples=200)
@given(frames)
def test_noise_is_refused_and_harms_nobody(noise: list[bytes | str | int]) -> None:
    assert check(noise)["frames"] == len(noise)


def test_the_fuzz_target_counts() -> None:
    from tests.server.session.fuzz import run

    outcomes = run(10)
    assert outcomes["frames"]["sequences"] >= 10
    assert outcomes["frames"]["frames"] >= outcomes["frames"]["sequences"]
    assert sum(outcomes["texts"].values()) >= 10
    assert outcomes["failures"]["runs"] >= 1
