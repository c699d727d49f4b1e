from typing import Any, get_args

import msgspec
import pytest

from server.wire import (
    Alternative,
    Attention,
    ClientMessage,
    Encoding,
    Endpoint,
    Final,
    Partial,
    ServerMessage,
    Start,
    Stop,
    Timing,
    Word,
)

NOT_FINITE = [float("nan"), float("inf"), float("-inf")]
TIMING = Timing(queue_ms=1.5, compute_ms=20.0)


def test_start_needs_only_the_sample_rate() -> None:
    start = Start(sample_rate=16_000)
    assert start.encoding is Encoding.S16LE
    assert start.endpoint == Endpoint(silence_ms=800)
    assert (start.chunk_ms, start.phrases, start.words, start.attention) == (None, (), False, False)


def test_messages_cannot_be_changed() -> None:
    start = Start(sample_rate=16_000)
    with pytest.raises(AttributeError, match="immutable"):
        start.sample_rate = 8_000  # type: ignore[misc]


@pytest.mark.parametrize("struct", [*get_args(ClientMessage), *get_args(ServerMessage)])
def test_every_message_is_tagged_by_its_lower_case_name_and_refuses_unknown_fields(
    struct: type[msgspec.Struct],
) -> None:
    config = struct.__struct_config__
    assert config.tag == struct.__name__.lower()
    assert config.frozen
    assert config.forbid_unknown_fields


def test_messages_without_fields_are_equal() -> None:
    assert Stop() == Stop()


@pytest.mark.parametrize("value", [*NOT_FINITE, -0.5])
@pytest.mark.parametrize("field", ["queue_ms", "compute_ms"])
def test_timing_refuses_what_is_no_duration(field: str, value: float) -> None:
    values = {"queue_ms": 0.0, "compute_ms": 0.0, field: value}
    with pytest.raises(ValueError, match=f"expected {field} to be a finite number >= 0, got"):
        Timing(**values)


@pytest.mark.parametrize("value", [*NOT_FINITE, -0.01, 1.01])
def test_confidence_is_a_probability(value: float) -> None:
    with pytest.raises(ValueError, match="expected confidence to be a number from 0 to 1, got"):
        Word(word="a", start_ms=0, end_ms=10, confidence=value)
    with pytest.raises(ValueError, match="expected confidence to be a number from 0 to 1, got"):
        Alternative(text="a", confidence=value)
    with pytest.raises(ValueError, match="expected confidence to be a number from 0 to 1, got"):
        Final(segment=0, text="a", start_ms=0, end_ms=10, confidence=value)


def test_word_does_not_end_before_it_begins() -> None:
    assert Word(word="a", start_ms=10, end_ms=10, confidence=1.0).end_ms == 10
    with pytest.raises(ValueError, match=r"expected end_ms >= start_ms \(10\), got 9"):
        Word(word="a", start_ms=10, end_ms=9, confidence=1.0)
    with pytest.raises(ValueError, match=r"expected end_ms >= start_ms \(10\), got 9"):
        Final(segment=0, text="a", start_ms=10, end_ms=9, confidence=1.0)


def test_stable_prefix_is_no_longer_than_the_text() -> None:
    assert Partial(segment=0, text="né", stable=2, audio_ms=0, timing=TIMING).stable == 2
    with pytest.raises(ValueError, match="expected stable <= 2, the length of text, got 3"):
        Partial(segment=0, text="né", stable=3, audio_ms=0, timing=TIMING)


ATTENTION: dict[str, Any] = {
    "audio_ms": 160,
    "frame_ms": 80.0,
    "labels": ("▁a", "b"),
    "weights": ((0.5, 0.5), (0.0, 1.0)),
    "end_probability": 0.9,
}


def test_a_block_may_bring_no_wordpiece() -> None:
    message = Attention(audio_ms=160, frame_ms=80.0, end_probability=1.0)
    assert (message.labels, message.weights) == ((), ())


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("weights", ((0.5, 0.5),), "expected 2 rows of weights, one for each label, got 1"),
        ("weights", ((0.5, 0.5), (1.0,)), "expected rows of weights of one length, got 2, 1"),
        ("weights", ((0.5, 0.5), (0.0, 1.5)), "expected weights to be a number from 0 to 1, got 1.5"),
        ("frame_ms", 0.0, "expected frame_ms to be a finite number > 0, got 0"),
        *(("weights", ((0.5, 0.5), (0.0, value)), "expected weights to be a number") for value in NOT_FINITE),
        *(("frame_ms", value, "expected frame_ms to be a finite number > 0") for value in NOT_FINITE),
        *(("end_probability", value, "expected end_probability to be a number") for value in [*NOT_FINITE, 1.1]),
    ],
)
def test_attention_is_one_row_of_probabilities_a_wordpiece(field: str, value: object, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Attention(**{**ATTENTION, field: value})


def test_a_container_tells_its_own_rate_and_bare_samples_do_not() -> None:
    assert Start(encoding=Encoding.CONTAINER).sample_rate is None
    with pytest.raises(ValueError, match="missing required field `sample_rate`, which encoding pcm_alaw does not tell"):
        Start(encoding=Encoding.ALAW)
