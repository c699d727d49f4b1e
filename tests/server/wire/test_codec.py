import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.wire import (
    MAX_CLIENT_BYTES,
    MAX_SERVER_BYTES,
    Ack,
    Alternative,
    Attention,
    ClientMessage,
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
    ServerMessage,
    Start,
    Stop,
    Timing,
    WireError,
    Word,
    decode_client,
    decode_server,
    encode,
)
from tests.server.wire.finals import final_of

counts = st.integers(0, 2**53)
tokens = st.text(min_size=1, max_size=40)
probabilities = st.floats(0, 1)
durations = st.floats(0, 1e9)


@st.composite
def words(draw: st.DrawFn) -> Word:
    start, end = sorted((draw(counts), draw(counts)))
    return Word(word=draw(st.text()), start_ms=start, end_ms=end, confidence=draw(probabilities))


@st.composite
def partials(draw: st.DrawFn) -> Partial:
    text = draw(st.text())
    return Partial(
        segment=draw(counts),
        text=text,
        stable=draw(st.integers(0, len(text))),
        audio_ms=draw(counts),
        timing=Timing(queue_ms=draw(durations), compute_ms=draw(durations)),
    )


starts = st.builds(
    Start,
    sample_rate=st.integers(8_000, 48_000),
    encoding=st.sampled_from(Encoding),
    chunk_ms=st.none() | st.integers(1, 60_000),
    phrases=st.lists(tokens, max_size=5).map(tuple),
    endpoint=st.builds(Endpoint, silence_ms=st.integers(80, 10_000)),
    words=st.booleans(),
    attention=st.booleans(),
)
resumes = st.builds(Resume, session=tokens, resume=tokens)
client_messages = st.one_of(starts, resumes, st.just(Flush()), st.just(Stop()))
readies = st.builds(
    Ready,
    session=tokens,
    resume=tokens,
    chunk_ms=counts,
    lookahead_ms=counts,
    model=st.text(),
    received_samples=counts,
)
alternatives = st.builds(Alternative, text=st.text(), confidence=probabilities)


@st.composite
def finals(draw: st.DrawFn) -> Final:
    start_ms = draw(counts)
    return Final(
        segment=draw(counts),
        text=draw(st.text()),
        start_ms=start_ms,
        end_ms=start_ms + draw(counts),
        confidence=draw(probabilities),
        words=draw(st.lists(words(), max_size=5).map(tuple)),
        alternatives=draw(st.lists(alternatives, max_size=3).map(tuple)),
    )


@st.composite
def attentions(draw: st.DrawFn) -> Attention:
    labels = draw(st.lists(st.text(max_size=8), max_size=4).map(tuple))
    frames = draw(st.integers(0, 6))
    row = st.lists(probabilities, min_size=frames, max_size=frames).map(tuple)
    return Attention(
        audio_ms=draw(counts),
        frame_ms=draw(st.floats(1, 1000)),
        labels=labels,
        weights=tuple(draw(row) for _ in labels),
        end_probability=draw(probabilities),
    )


server_messages = st.one_of(
    readies,
    partials(),
    finals(),
    attentions(),
    st.builds(Ack, samples=counts),
    st.builds(Ack, samples=counts, bytes=counts),
    st.builds(Flushed, samples=counts),
    st.builds(Done, samples=counts, audio_ms=counts, segments=counts),
    st.builds(Error, code=st.sampled_from(ErrorCode), message=st.text()),
)


@given(client_messages)
def test_client_messages_round_trip(message: ClientMessage) -> None:
    assert decode_client(encode(message)) == message
    assert decode_client(encode(message).encode()) == message


@given(server_messages)
def test_server_messages_round_trip(message: ServerMessage) -> None:
    assert decode_server(encode(message)) == message
    assert decode_server(encode(message).encode()) == message


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_nothing_but_wire_errors_comes_out_of_noise(frame: bytes | str) -> None:
    for decode in (decode_client, decode_server):
        with pytest.raises(WireError):
            decode(frame)


@given(starts, st.data())
def test_a_damaged_message_is_read_or_refused_and_nothing_else(message: Start, data: st.DataObject) -> None:
    frame = bytearray(encode(message).encode())
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        result = decode_client(bytes(frame))
    except WireError as error:
        assert error.code is ErrorCode.INVALID_MESSAGE
    else:
        assert isinstance(result, Start)


def test_documented_start_is_read() -> None:
    frame = (
        '{"type":"start","sample_rate":48000,"encoding":"pcm_s16le","chunk_ms":320,'
        '"phrases":["Earshot"],"endpoint":{"silence_ms":600},"words":true}'
    )
    assert decode_client(frame) == Start(
        sample_rate=48_000,
        encoding=Encoding.S16LE,
        chunk_ms=320,
        phrases=("Earshot",),
        endpoint=Endpoint(silence_ms=600),
        words=True,
    )


def test_partial_is_written_as_documented() -> None:
    timing = Timing(queue_ms=0.5, compute_ms=12.0)
    frame = encode(Partial(segment=0, text="hello wor", stable=6, audio_ms=960, timing=timing))
    assert json.loads(frame) == {
        "type": "partial",
        "segment": 0,
        "text": "hello wor",
        "stable": 6,
        "audio_ms": 960,
        "timing": {"queue_ms": 0.5, "compute_ms": 12.0},
    }


def test_attention_is_written_as_documented() -> None:
    message = Attention(
        audio_ms=640, frame_ms=80, labels=("▁he", "llo"), weights=((0.75, 0.25), (0.0, 1.0)), end_probability=0.5
    )
    assert json.loads(encode(message)) == {
        "type": "attention",
        "audio_ms": 640,
        "frame_ms": 80,
        "labels": ["▁he", "llo"],
        "weights": [[0.75, 0.25], [0.0, 1.0]],
        "end_probability": 0.5,
    }


CLIENT_REFUSALS: dict[str, tuple[str | bytes, str]] = {
    "unknown type": ('{"type":"begin"}', "'begin'.*expected one of start, resume, flush, stop"),
    "no type": ('{"sample_rate":16000}', "missing required field `type`; expected one of start, resume"),
    "a server's message": ('{"type":"ack","samples":1}', "expected one of start, resume, flush, stop"),
    "unknown field": ('{"type":"flush","now":true}', "unknown field `now`"),
    "unknown inner field": (
        '{"type":"start","sample_rate":16000,"endpoint":{"silence":600}}',
        r"unknown field `silence` - at `\$.endpoint`",
    ),
    "missing field": ('{"type":"start"}', "missing required field `sample_rate`"),
    "unknown encoding": (
        '{"type":"start","sample_rate":16000,"encoding":"mp3"}',
        "'mp3'.*expected one of pcm_s16le, pcm_f32le, pcm_mulaw, pcm_alaw",
    ),
    "rate too low": ('{"type":"start","sample_rate":7999}', r">= 8000 - at `\$.sample_rate`"),
    "rate too high": ('{"type":"start","sample_rate":48001}', r"<= 48000 - at `\$.sample_rate`"),
    "rate as text": ('{"type":"start","sample_rate":"16000"}', "Expected `int | null`, got `str`"),
    "rate as boolean": ('{"type":"start","sample_rate":true}', "Expected `int | null`, got `bool`"),
    "rate NaN": ('{"type":"start","sample_rate":NaN}', "malformed"),
    "rate beyond numbers": ('{"type":"start","sample_rate":1e999}', "out of range"),
    "empty phrase": (
        '{"type":"start","sample_rate":16000,"phrases":[""]}',
        r"length >= 1 - at `\$.phrases\[0\]`",
    ),
    "too many phrases": (
        json.dumps({"type": "start", "sample_rate": 16_000, "phrases": ["a"] * 501}),
        r"length <= 500 - at `\$.phrases`",
    ),
    "not an object": ("[]", "Expected `object`, got `array`"),
    "null": ("null", "Expected `object`, got `null`"),
    "nothing": ("", "truncated"),
    "half a message": ('{"type":"sto', "truncated"),
    "two messages": ('{"type":"stop"}{"type":"stop"}', "trailing characters"),
    "deep nesting": ('{"a":' + "[" * 20_000, "deeply nested"),
    "not UTF-8": (b'{"type":"resume","session":"\xff","resume":"a"}', "expected UTF-8"),
    "bytes of audio": (b"\xff\xfe\x00\x01", "malformed"),
    "half a surrogate pair": ('{"type":"resume","session":"\ud800","resume":"a"}', "expected UTF-8"),
    "half an escaped pair": (r'{"type":"resume","session":"\ud800","resume":"a"}', "surrogate"),
}


@pytest.mark.parametrize("case", CLIENT_REFUSALS)
def test_refusals_say_what_was_expected(case: str) -> None:
    frame, expected = CLIENT_REFUSALS[case]
    with pytest.raises(WireError, match=expected) as caught:
        decode_client(frame)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


PARTIAL = (
    '{{"type":"partial","segment":0,"text":"ab","stable":{stable},"audio_ms":0,'
    '"timing":{{"queue_ms":{queue},"compute_ms":1}}}}'
)


@pytest.mark.parametrize(
    ("stable", "queue", "expected"),
    [
        (3, "0", "expected stable <= 2"),
        (-1, "0", r">= 0 - at `\$.stable`"),
        (1, "-1", r">= 0.*at `\$.timing.queue_ms`"),
        (1, "null", "got `null`"),
        (1, "NaN", "malformed"),
    ],
)
def test_inconsistent_events_are_refused(stable: int, queue: str, expected: str) -> None:
    with pytest.raises(WireError, match=expected):
        decode_server(PARTIAL.format(stable=stable, queue=queue))


def test_client_messages_are_no_server_messages() -> None:
    with pytest.raises(WireError, match="expected one of ready, partial, final, attention, ack, flushed, done, error"):
        decode_server('{"type":"stop"}')


@pytest.mark.parametrize(("decode", "limit"), [(decode_client, MAX_CLIENT_BYTES), (decode_server, MAX_SERVER_BYTES)])
def test_long_frames_are_refused_before_they_are_read(decode: Callable[[bytes | str], object], limit: int) -> None:
    with pytest.raises(WireError, match=f"at most {limit} bytes of text, got {limit + 1}") as caught:
        decode(b" " * (limit + 1))
    assert caught.value.code is ErrorCode.MESSAGE_TOO_BIG
    with pytest.raises(WireError) as caught:
        decode(" " * limit)
    assert caught.value.code is ErrorCode.INVALID_MESSAGE


def test_the_limit_counts_bytes_not_characters() -> None:
    with pytest.raises(WireError) as caught:
        decode_client("é" * (MAX_CLIENT_BYTES // 2 + 1))
    assert caught.value.code is ErrorCode.MESSAGE_TOO_BIG


def test_explanations_do_not_send_a_long_value_back() -> None:
    with pytest.raises(WireError, match="expected one of start") as caught:
        decode_client('{"type":"' + "x" * 60_000 + '"}')
    assert len(str(caught.value)) < 500


def test_text_that_no_frame_can_carry_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode(final_of(0, "\ud800"))


def test_bytes_are_named_only_where_they_count() -> None:
    assert json.loads(encode(Ack(samples=5))) == {"type": "ack", "samples": 5}
    assert json.loads(encode(Ack(samples=5, bytes=9))) == {"type": "ack", "samples": 5, "bytes": 9}
