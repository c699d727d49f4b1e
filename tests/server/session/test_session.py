import numpy as np
import pytest

from server.session import Close, FinishAudio, Forget, Identity, Send, Session, State, ToWorker
from server.wire import (
    ACK_BYTES,
    Ack,
    Done,
    Encoding,
    Endpoint,
    Error,
    ErrorCode,
    Final,
    Flush,
    Flushed,
    Partial,
    Ready,
    Resume,
    Start,
    Stop,
    encode,
)
from server.worker import messages as worker
from tests.server.session.making import LIMITS, audio, make_session, recognised, segment, sent, to_worker

ALICE = Identity("alice")
START = encode(Start(sample_rate=16_000))
FLUSH, STOP = encode(Flush()), encode(Stop())


def closes(actions: list) -> list[int]:
    return [action.code for action in actions if isinstance(action, Close)]


def errors(actions: list) -> list[ErrorCode]:
    return [message.code for message in sent(actions) if isinstance(message, Error)]


def resume(token: str = "token-1", segments: int = 0) -> Resume:
    return Resume(session="token-0", resume=token, segments=segments)


# Opening


def test_start_opens_a_stream_and_answers_ready(opening: Session) -> None:
    start = Start(sample_rate=48_000, chunk_ms=200, phrases=("Earshot",), endpoint=Endpoint(silence_ms=900))
    assert not opening.active and opening.start is None
    actions = opening.receive_text(encode(start), 1.0)
    assert actions == [
        ToWorker(worker.Open(stream=7, chunk_ms=200, silence_ms=900, phrases=("Earshot",))),
        Send(Ready(session="token-0", resume="token-1", chunk_ms=200, lookahead_ms=20, model="fake")),
    ]
    assert (opening.state, opening.active, opening.start, opening.id) == (State.OPEN, True, start, "token-0")


def test_without_chunk_the_models_first_is_used(opening: Session) -> None:
    (opened,) = to_worker(opening.receive_text(START, 0.0))
    assert isinstance(opened, worker.Open) and opened.chunk_ms == 100


def test_a_chunk_that_the_model_does_not_serve_is_refused(opening: Session) -> None:
    actions = opening.receive_text(encode(Start(sample_rate=16_000, chunk_ms=320)), 0.0)
    (error,) = sent(actions)
    assert isinstance(error, Error) and error.code is ErrorCode.UNSUPPORTED
    assert error.message == "expected chunk_ms to be one of 100, 200, got 320"
    assert closes(actions) == [1003] and actions[-1] == Forget()
    assert opening.state is State.DONE


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", ErrorCode.INVALID_MESSAGE),
        (b"\xff\xfe", ErrorCode.INVALID_MESSAGE),
        ('{"type":"start","sample_rate":16000,"colour":1}', ErrorCode.INVALID_MESSAGE),
        (" " * 70_000, ErrorCode.MESSAGE_TOO_BIG),
        (FLUSH, ErrorCode.UNEXPECTED_MESSAGE),
        (STOP, ErrorCode.UNEXPECTED_MESSAGE),
    ],
)
def test_what_is_no_start_is_refused_and_closed(opening: Session, frame: str | bytes, code: ErrorCode) -> None:
    actions = opening.receive_text(frame, 0.0)
    assert errors(actions) == [code]
    assert closes(actions) == [code.close_code]
    assert actions[-1] == Forget() and not to_worker(actions)


def test_audio_before_start_is_refused(opening: Session) -> None:
    assert not opening.accepts_audio
    actions = opening.receive_audio(np.zeros(0, np.float32), 0, 0.0)
    (error,) = sent(actions)
    assert isinstance(error, Error) and error.message == "expected one of start, resume, got audio"
    assert closes(actions) == [1002]


def test_ids_and_tokens_are_unguessable_by_default() -> None:
    made = [Session(n, ALICE, LIMITS, 0.0, make_session()._model) for n in range(20)]
    assert len({session.id for session in made}) == 20
    assert all(len(session.id) >= 32 for session in made)


# Audio and events


def test_audio_goes_to_the_worker_and_is_acknowledged_every_half_second(session: Session) -> None:
    samples = audio(0.5)
    first = session.receive_audio(samples[:6_000], 6_000, 0.1)
    assert first == [ToWorker(worker.Audio(stream=7, samples=samples[:6_000].tobytes()))]
    second = session.receive_audio(samples[6_000:], 8_000, 0.2)
    assert sent(second) == [Ack(samples=8_000)]
    assert sent(session.receive_audio(samples[:10], 8_010, 0.3)) == []


def test_acknowledgements_count_at_the_clients_rate(opening: Session) -> None:
    opening.receive_text(encode(Start(sample_rate=48_000)), 0.0)
    assert sent(opening.receive_audio(audio(0.5), 24_000, 0.1)) == [Ack(samples=24_000)]


def test_a_containers_acknowledgements_count_bytes_too(opening: Session) -> None:
    (ready,) = sent(opening.receive_text(encode(Start(encoding=Encoding.CONTAINER)), 0.0))
    assert isinstance(ready, Ready) and ready.received_bytes == 0
    assert sent(opening.receive_audio(audio(0.5), 8_000, 0.1, 3_000)) == [Ack(samples=8_000, bytes=3_000)]
    opening.receive_text(STOP, 0.2)
    opening.audio_finished(audio(0.5), 16_000, 0.2, 3_100)
    done = sent(opening.from_worker(worker.Finished(stream=7), 0.3))
    assert done == [Done(samples=16_000, audio_ms=1_000, segments=0)]


def test_events_become_partials_and_finals(opening: Session) -> None:
    opening.receive_text(encode(Start(sample_rate=16_000, words=True)), 0.0)
    opening.receive_audio(audio(0.4), 6_400, 0.0)
    (partial,) = sent(
        opening.from_worker(recognised(worker.Hypothesis(segment=0, text="a bc", stable=2), position=1_600), 0.1)
    )
    assert isinstance(partial, Partial)
    assert (partial.text, partial.stable, partial.audio_ms) == ("a bc", 1, 100)
    assert (partial.timing.queue_ms, partial.timing.compute_ms) == (1.5, 2.5)
    (final,) = sent(opening.from_worker(recognised(segment(0, "a bcd"), position=4_800, keep_from=4_800), 0.2))
    assert isinstance(final, Final)
    assert [(w.word, w.start_ms, w.end_ms) for w in final.words] == [("a", 0, 50), ("bcd", 100, 150)]
    assert (final.start_ms, final.end_ms, final.confidence) == (0, 150, 0.5)


def test_words_come_only_if_asked_for(session: Session) -> None:
    session.receive_audio(audio(0.2), 3_200, 0.0)
    (final,) = sent(session.from_worker(recognised(segment(0, "a"), position=3_200, keep_from=3_200), 0.1))
    assert final == Final(segment=0, text="a", start_ms=0, end_ms=50, confidence=0.5)


def test_flush_is_answered_with_the_samples_before_it(session: Session) -> None:
    session.receive_audio(audio(0.1), 1_600, 0.0)
    assert to_worker(session.receive_text(FLUSH, 0.1)) == [worker.Flush(stream=7)]
    session.receive_audio(audio(0.1), 3_200, 0.2)
    assert sent(session.from_worker(worker.Flushed(stream=7, keep_from=1_600), 0.3)) == [Flushed(samples=1_600)]


def test_stop_takes_the_decoders_rest_then_finishes_and_closes(session: Session) -> None:
    session.receive_audio(audio(0.1), 1_600, 0.0)
    assert session.receive_text(STOP, 0.1) == [FinishAudio()]
    assert session.state is State.STOPPING
    rest = audio(0.01)
    assert session.audio_finished(rest, 1_760, 0.2) == [
        ToWorker(worker.Audio(stream=7, samples=rest.tobytes())),
        Send(Ack(samples=1_760)),
        ToWorker(worker.Finish(stream=7)),
    ]
    assert session.audio_finished(rest, 1_760, 0.2) == []
    session.from_worker(recognised(segment(0, "a"), position=1_760, keep_from=1_760), 0.3)
    assert session.from_worker(worker.Finished(stream=7), 0.4) == [
        Send(Done(samples=1_760, audio_ms=110, segments=1)),
        Close(1000, "done"),
    ]
    assert not session.active
    assert session.disconnected(0.5, 1000) == [Forget()]


@pytest.mark.parametrize(("frame", "got"), [(START, "start"), (encode(resume()), "resume")])
def test_nothing_new_comes_after_stop(session: Session, frame: str, got: str) -> None:
    session.receive_text(STOP, 0.0)
    (error,) = sent(session.receive_text(frame, 0.0))
    assert isinstance(error, Error) and error.code is ErrorCode.UNEXPECTED_MESSAGE
    assert error.message == f"expected one of flush, stop, got {got}"
    assert session.receive_text(FLUSH, 0.0) == session.receive_text(STOP, 0.0) == []
    assert errors(session.receive_audio(audio(0.1), 1_600, 0.0)) == [ErrorCode.UNEXPECTED_MESSAGE]


def test_refused_messages_leave_an_open_session_as_it_was_until_there_are_too_many(session: Session) -> None:
    for frame in ("[]", START, '{"type":"stop","now":true}'):
        actions = session.receive_text(frame, 0.0)
        assert len(errors(actions)) == len(actions) == 1
        assert session.state is State.OPEN
    actions = session.receive_text("", 0.0)
    assert errors(actions) == [ErrorCode.INVALID_MESSAGE] and closes(actions) == [1007]
    assert to_worker(actions) == [worker.Drop(stream=7)] and actions[-1] == Forget()
    assert session.receive_text(START, 0.0) == []


# The worker


def test_after_a_loss_what_is_not_final_is_sent_again(session: Session) -> None:
    samples = audio(0.5)
    session.receive_audio(samples, 8_000, 0.0)
    session.from_worker(recognised(segment(0, "a"), position=3_200, keep_from=3_000), 0.1)
    assert session.worker_lost(0.2) == []
    more = audio(0.1, seed=1)
    assert to_worker(session.receive_audio(more, 9_600, 0.3)) == []
    assert to_worker(session.receive_text(FLUSH, 0.3)) == []
    assert to_worker(session.receive_audio(more, 11_200, 0.3)) == []
    replay = to_worker(session.worker_ready(0.4))
    assert replay[0] == worker.Open(stream=7, chunk_ms=100, silence_ms=800, position=3_000, segment=1)
    flush = replay.index(worker.Flush(stream=7))
    before = b"".join(message.samples for message in replay[1:flush] if isinstance(message, worker.Audio))
    after = b"".join(message.samples for message in replay[flush + 1 :] if isinstance(message, worker.Audio))
    assert before == np.concatenate([samples[3_000:], more]).tobytes()
    assert after == more.tobytes()
    assert session.worker_ready(0.5) == []


def test_a_finish_is_sent_again_too(session: Session) -> None:
    session.receive_text(STOP, 0.0)
    session.audio_finished(audio(0.1), 1_600, 0.0)
    session.worker_lost(0.1)
    assert to_worker(session.worker_ready(0.2))[-1] == worker.Finish(stream=7)


def test_messages_of_a_lost_worker_are_nothing(session: Session) -> None:
    session.worker_lost(0.1)
    assert session.from_worker(recognised(segment(0, "a"), position=0), 0.2) == []
    assert session.worker_lost(0.3) == []


def test_a_session_without_a_stream_minds_no_worker(opening: Session) -> None:
    assert opening.worker_lost(0.0) == opening.worker_ready(0.0) == []
    assert opening.from_worker(worker.Finished(stream=7), 0.0) == []


@pytest.mark.parametrize(("unsupported", "code"), [(True, ErrorCode.UNSUPPORTED), (False, ErrorCode.OVERLOADED)])
def test_a_workers_refusal_is_passed_on(session: Session, unsupported: bool, code: ErrorCode) -> None:
    actions = session.from_worker(worker.Refused(stream=7, message="no phrases here", unsupported=unsupported), 0.1)
    assert sent(actions) == [Error(code=code, message="no phrases here")]
    assert closes(actions) == [code.close_code] and not to_worker(actions) and actions[-1] == Forget()


def test_started_concerns_no_session(session: Session) -> None:
    assert session.from_worker(session._model, 0.1) == []


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (recognised(segment(2, "a"), position=0), "expected segment 0 at most, got 2"),
        (recognised(position=0, keep_from=99_999), "expected to forget at most 0 samples"),
        (worker.Flushed(stream=7, keep_from=0), "no flush"),
    ],
)
def test_a_worker_that_errs_ends_the_session_without_details(
    session: Session, message: worker.FromWorker, fault: str
) -> None:
    actions = session.from_worker(message, 0.1)
    assert errors(actions) == [ErrorCode.INTERNAL] and closes(actions) == [1011]
    assert session.fault is not None and fault in session.fault
    assert fault not in str(sent(actions))


def test_a_worker_that_never_lets_audio_go_ends_the_session(session: Session) -> None:
    for n in range(1, 32):
        session.receive_audio(audio(1), 16_000 * n, 0.0)
        actions = session.from_worker(recognised(position=16_000 * n), 0.0)
    assert errors(actions) == [ErrorCode.INTERNAL]
    assert session.fault == "Recognised: expected to hold at most 30 s of recognised audio"


# The server


def test_refuse_tells_closes_and_frees(session: Session) -> None:
    assert session.refuse(ErrorCode.OVERLOADED, "x" * 200) == [
        Send(Error(code=ErrorCode.OVERLOADED, message="x" * 200)),
        Close(1013, "x" * 123),
        ToWorker(worker.Drop(stream=7)),
        Forget(),
    ]
    assert session.refuse(ErrorCode.OVERLOADED, "again") == []


def test_a_reason_is_cut_between_characters(session: Session) -> None:
    (close,) = [a for a in session.refuse(ErrorCode.INTERNAL, "é" * 100) if isinstance(a, Close)]
    assert close.reason == "é" * 61


def test_bytes_without_sound_are_acknowledged_too(opening: Session) -> None:
    opening.receive_text(encode(Start(encoding=Encoding.CONTAINER)), 0.0)
    nothing = np.zeros(0, np.float32)
    assert opening.receive_audio(nothing, 0, 0.1, ACK_BYTES - 1) == []
    assert opening.receive_audio(nothing, 0, 0.1, ACK_BYTES) == [Send(Ack(samples=0, bytes=ACK_BYTES))]
    assert opening.receive_audio(nothing, 0, 0.1, 2 * ACK_BYTES - 1) == []
    assert sent(opening.receive_audio(audio(0.5), 8_000, 0.2, 2 * ACK_BYTES - 1))[0].bytes == 2 * ACK_BYTES - 1


@pytest.mark.parametrize("stopped", [False, True])
def test_broken_audio_ends_the_session_after_what_came_before(session: Session, stopped: bool) -> None:
    session.receive_audio(audio(0.1), 1_600, 0.0)
    if stopped:
        session.receive_text(STOP, 0.0)
    good = audio(0.05)
    actions = session.audio_damaged("damaged", good, 2_400, 0.0)
    assert errors(actions) == [ErrorCode.INVALID_AUDIO]
    assert to_worker(actions) == [worker.Audio(stream=7, samples=good.tobytes()), worker.Finish(stream=7)]
    assert session.audio_damaged("damaged", good, 2_400, 0.0) == []
    assert session.audio_finished(audio(0.1), 3_200, 0.0) == []
    session.from_worker(recognised(segment(0, "a"), position=2_400, keep_from=2_400), 0.1)
    actions = session.from_worker(worker.Finished(stream=7), 0.1)
    assert sent(actions) == [Done(samples=2_400, audio_ms=150, segments=1)]
    assert closes(actions) == [4415]


def test_broken_audio_is_told_to_a_client_that_was_away(session: Session) -> None:
    session.disconnected(0.0)
    session.audio_damaged("damaged", audio(0.1), 1_600, 0.0)
    assert errors(session.resumed(resume(), ALICE, 0.1)) == [ErrorCode.INVALID_AUDIO]


def test_drain_ends_what_is_open(session: Session) -> None:
    actions = session.drain(1.0)
    assert errors(actions) == [ErrorCode.SHUTTING_DOWN] and actions[-1] == FinishAudio()
    assert session.drain(2.0) == []
    session.audio_finished(np.zeros(0, np.float32), 0, 2.0)
    assert closes(session.from_worker(worker.Finished(stream=7), 2.1)) == [1012]


def test_drain_refuses_what_is_opening(opening: Session) -> None:
    actions = opening.drain(1.0)
    assert errors(actions) == [ErrorCode.SHUTTING_DOWN] and closes(actions) == [1012] and actions[-1] == Forget()


def test_drain_forgets_whom_nobody_listens_to(session: Session) -> None:
    session.disconnected(0.5)
    assert session.drain(1.0) == [ToWorker(worker.Drop(stream=7)), Forget()]


def test_time_that_goes_back_is_no_matter(session: Session) -> None:
    session.receive_text(FLUSH, 9.0)
    session.receive_text(FLUSH, 1.0)
    assert session.next_deadline() == 19.0
