"""The messages as frozen structs, one class each, `type` on the wire being the tag.

A field's unit stands in its name (`_ms`) or in its comment. Times count from the first sample of the session.
Sample counts are at the session's `sample_rate`, one channel; of a container, at 16 kHz.
"""

from enum import StrEnum
from math import isfinite
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from server.wire.errors import ErrorCode

Count = Annotated[int, Meta(ge=0)]
"""A number of things, from 0."""
Milliseconds = Annotated[int, Meta(ge=0)]
"""A time or a duration in whole milliseconds."""
Duration = Annotated[float, Meta(ge=0)]
"""A measured duration in milliseconds, with fractions."""
Probability = Annotated[float, Meta(ge=0, le=1)]
"""A probability, 0 to 1."""
Phrase = Annotated[str, Meta(min_length=1, max_length=200)]
"""A phrase to listen for, 1 to 200 characters."""
Token = Annotated[str, Meta(min_length=1, max_length=200)]
"""An opaque identifier given by the server."""
ACK_BYTES = 64 * 1024
"""Bytes after which an `Ack` comes at the latest: a container's cover art is no audio, and could fill any buffer."""


class Encoding(StrEnum):
    """What the bytes of binary frames are: little-endian samples of one channel, or a container's bytes."""

    S16LE = "pcm_s16le"
    """Signed 16-bit integers, 2 bytes a sample."""
    F32LE = "pcm_f32le"
    """32-bit floats in [-1, 1], 4 bytes a sample."""
    MULAW = "pcm_mulaw"
    """G.711 µ-law, 1 byte a sample."""
    ALAW = "pcm_alaw"
    """G.711 A-law, 1 byte a sample."""
    CONTAINER = "container"
    """A stream or file that tells its own coding: Ogg, WebM, FLAC, MP3, MP4, ADTS or WAV."""


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all parts of messages share: immutable, no unknown fields, fields by name."""


class Endpoint(_Struct, frozen=True):
    """When a segment ends without being told to."""

    silence_ms: Annotated[int, Meta(ge=80, le=10_000)] = 800
    """Silence after speech that ends a segment, in milliseconds."""


class Timing(_Struct, frozen=True):
    """Where the time of the chunk behind an event went."""

    queue_ms: Duration
    """From the chunk's arrival to the start of its computation, in milliseconds."""
    compute_ms: Duration
    """The computation of the batch that it was part of, in milliseconds."""

    def __post_init__(self) -> None:
        """Refuse values that JSON cannot carry."""
        _check_number("queue_ms", self.queue_ms, upper=None)
        _check_number("compute_ms", self.compute_ms, upper=None)


class Word(_Struct, frozen=True):
    """One recognised word."""

    word: str
    """The word as written."""
    start_ms: Milliseconds
    """Where it begins, in milliseconds of session time."""
    end_ms: Milliseconds
    """Where it ends, in milliseconds of session time."""
    confidence: Probability
    """The model's probability of it, 0 to 1."""

    def __post_init__(self) -> None:
        """Refuse a word that ends before it begins and a confidence that is no probability."""
        _check_number("confidence", self.confidence, upper=1)
        _check_order(self.start_ms, self.end_ms)


class Alternative(_Struct, frozen=True):
    """Another reading of a segment."""

    text: str
    """The whole segment in this reading."""
    confidence: Probability
    """Its probability among the readings kept, 0 to 1."""

    def __post_init__(self) -> None:
        """Refuse a confidence that is no probability."""
        _check_number("confidence", self.confidence, upper=1)


class Start(_Struct, frozen=True, tag="start"):
    """Client: open a session. The first message of a connection, unless it is `Resume`."""

    sample_rate: Annotated[int, Meta(ge=8_000, le=48_000)] | None = None
    """Samples a second of the audio to come, in hertz; must be there unless `encoding` is `container`."""
    encoding: Encoding = Encoding.S16LE
    """What the bytes of the binary frames are."""
    chunk_ms: Annotated[int, Meta(ge=1, le=60_000)] | None = None
    """Audio recognised at a time, in milliseconds; without it the server's default."""
    phrases: Annotated[tuple[Phrase, ...], Meta(max_length=500)] = ()
    """Names and terms to favour, at most 500."""
    endpoint: Endpoint = Endpoint()
    """When a segment ends by itself."""
    words: bool = False
    """Whether finals carry words with times and confidence."""
    attention: bool = False
    """Whether the server sends `Attention`, for pictures of it."""

    def __post_init__(self) -> None:
        """Refuse bare samples whose rate is not told; a container tells its own."""
        if self.sample_rate is None and self.encoding is not Encoding.CONTAINER:
            raise ValueError(f"missing required field `sample_rate`, which encoding {self.encoding} does not tell")


class Resume(_Struct, frozen=True, tag="resume"):
    """Client: take up a session whose connection was lost."""

    session: Token
    """The session, from its `Ready`."""
    resume: Token
    """The secret that proves the session is ours, from its latest `Ready`."""
    segments: Count = 0
    """Finals that the client has; the server sends those after them again."""


class Flush(_Struct, frozen=True, tag="flush"):
    """Client: make what was said so far final now and stay open; answered by `Flushed`."""


class Stop(_Struct, frozen=True, tag="stop"):
    """Client: no more audio. The server finalises, sends `Done` and closes."""


class Ready(_Struct, frozen=True, tag="ready"):
    """Server: the session is open, or open again; audio may be sent."""

    session: Token
    """Names the session in logs and in `Resume`."""
    resume: Token
    """Secret for resuming this session, once."""
    chunk_ms: Milliseconds
    """Audio recognised at a time, in milliseconds."""
    lookahead_ms: Milliseconds
    """Audio that the model waits for beyond a chunk, in milliseconds."""
    model: str
    """The model's name."""
    received_samples: Count = 0
    """Samples that the server already has; a resuming client sends from here on."""
    received_bytes: Count | UnsetType = UNSET
    """Of a container only: bytes that the server already has; a resuming client sends from here on."""


class Partial(_Struct, frozen=True, tag="partial"):
    """Server: what the open segment reads so far."""

    segment: Count
    """The segment's number, from 0."""
    text: str
    """The whole segment so far; replaces the partial before it."""
    stable: Count
    """Leading characters of `text` (Unicode code points) that will not change any more."""
    audio_ms: Milliseconds
    """Session time up to which audio went into this, in milliseconds."""
    timing: Timing
    """Where the time of the newest chunk went."""

    def __post_init__(self) -> None:
        """Refuse a stable prefix longer than the text."""
        if self.stable > len(self.text):
            raise ValueError(f"expected stable <= {len(self.text)}, the length of text, got {self.stable}")


class Final(_Struct, frozen=True, tag="final"):
    """Server: a segment that is done and will not change."""

    segment: Count
    """The segment's number, from 0."""
    text: str
    """What was said."""
    start_ms: Milliseconds
    """Where its first word begins, in milliseconds of session time."""
    end_ms: Milliseconds
    """Where its last word ends, in milliseconds of session time."""
    confidence: Probability
    """The mean of its words' confidences: if those are right, the share of words that are."""
    words: tuple[Word, ...] = ()
    """Its words in order; empty unless `Start.words` asked for them."""
    alternatives: tuple[Alternative, ...] = ()
    """Other readings, the likeliest first; `text` is not among them."""

    def __post_init__(self) -> None:
        """Refuse a segment that ends before it begins and a confidence that is no probability."""
        _check_number("confidence", self.confidence, upper=1)
        _check_order(self.start_ms, self.end_ms)


class Attention(_Struct, frozen=True, kw_only=True, tag="attention"):
    """Server: where the model looked while it read one block; only if `Start.attention` asked for it.

    For pictures, not for transcripts: a slow reader is spared some, and a resumed session does not repeat them. With a
    beam, a block comes again if another hypothesis, which read it otherwise, has become the likeliest.
    """

    audio_ms: Milliseconds
    """Session time at which the block ends, in milliseconds; the end of the last frame."""
    frame_ms: Annotated[float, Meta(gt=0)]
    """Duration of a frame, in milliseconds."""
    labels: tuple[str, ...] = ()
    """The wordpieces that the block brought, in order; U of them. `▁` begins a word."""
    weights: tuple[tuple[Probability, ...], ...] = ()
    """[U, frames] of each wordpiece over the frames that it could attend to: the look-back, then the block. Mean over
    the heads."""
    end_probability: Probability
    """The model's probability, after the last wordpiece, that the block holds no more of them."""

    def __post_init__(self) -> None:
        """Refuse weights that are no U × frames probabilities, and other values that JSON cannot carry."""
        _check_number("end_probability", self.end_probability, upper=1)
        if not (isfinite(self.frame_ms) and self.frame_ms > 0):
            raise ValueError(f"expected frame_ms to be a finite number > 0, got {self.frame_ms}")
        if len(self.weights) != len(self.labels):
            rows = len(self.weights)
            raise ValueError(f"expected {len(self.labels)} rows of weights, one for each label, got {rows}")
        if len({len(row) for row in self.weights}) > 1:
            lengths = ", ".join(str(len(row)) for row in self.weights)
            raise ValueError(f"expected rows of weights of one length, got {lengths}")
        for row in self.weights:
            for weight in row:
                _check_number("weights", weight, upper=1)


class Ack(_Struct, frozen=True, tag="ack"):
    """Server: audio it holds safely; the client may forget it."""

    samples: Count
    """Samples from the session's start that need not be sent again."""
    bytes: Count | UnsetType = UNSET
    """Of a container only: bytes from the session's start that need not be sent again."""


class Flushed(_Struct, frozen=True, tag="flushed"):
    """Server: answer to `Flush`, after the final that it brought, if there was speech."""

    samples: Count
    """Samples received before the `Flush`: everything said in them is final."""


class Done(_Struct, frozen=True, tag="done"):
    """Server: everything is final; the connection closes after this."""

    samples: Count
    """Samples received in all."""
    audio_ms: Milliseconds
    """Their duration, in milliseconds."""
    segments: Count
    """Finals sent in all."""


class Error(_Struct, frozen=True, tag="error"):
    """Server: something was refused. The session is as it was before it, unless the connection closes."""

    code: ErrorCode
    """Which refusal, for programs."""
    message: str
    """What was expected and what to do, for people."""


ClientMessage = Start | Resume | Flush | Stop
ServerMessage = Ready | Partial | Final | Attention | Ack | Flushed | Done | Error


def _check_number(name: str, value: float, upper: float | None) -> None:
    """Refuse NaN, infinities and values out of range, which the encoder would turn into `null`."""
    if not isfinite(value) or value < 0 or (upper is not None and value > upper):
        bounds = "a finite number >= 0" if upper is None else f"a number from 0 to {upper}"
        raise ValueError(f"expected {name} to be {bounds}, got {value}")


def _check_order(start_ms: int, end_ms: int) -> None:
    """Refuse an end before its beginning."""
    if end_ms < start_ms:
        raise ValueError(f"expected end_ms >= start_ms ({start_ms}), got {end_ms}")
