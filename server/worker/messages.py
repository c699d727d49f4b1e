"""Messages between the server and an inference worker: msgpack structs over zmq, one socket a worker.

Streams are numbered by the server. Samples and positions count at 16 kHz from the session's first sample.
"""

import msgspec


class _Struct(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What all of them share: immutable, compact on the wire, fields by name in Python."""


# To the worker


class Open(_Struct, frozen=True, tag="open"):
    """A new stream, or one that another worker lost: then recognition goes on from `position`."""

    stream: int
    chunk_ms: int
    silence_ms: int
    phrases: tuple[str, ...] = ()
    position: int = 0
    """Sample at which the audio to come begins."""
    segment: int = 0
    """Number of the first segment to come."""
    segment_ms: int = 0
    """Session time at which that begins, if after `position`: what is heard before is for the encoder alone."""
    begun_ms: int = 0
    """Audio that had been recognised when it was known to begin."""
    attention: bool = False
    """Whether `Recognised` carries `Look`s."""


class Audio(_Struct, frozen=True, tag="audio"):
    """More audio of a stream."""

    stream: int
    samples: bytes
    """float32, little-endian, mono, 16 kHz."""


class Flush(_Struct, frozen=True, tag="flush"):
    """Recognise everything that came, end the segment, stay open; answered by `Flushed`."""

    stream: int


class Finish(_Struct, frozen=True, tag="finish"):
    """As `Flush`, and forget the stream; answered by `Finished`."""

    stream: int


class Drop(_Struct, frozen=True, tag="drop"):
    """Forget the stream; not answered."""

    stream: int


class Shutdown(_Struct, frozen=True, tag="shutdown"):
    """End the process."""


# From the worker


class Started(_Struct, frozen=True, tag="started"):
    """The model is loaded, and every chunk size has a compiled step."""

    model: str
    chunks_ms: tuple[int, ...]
    """Chunk sizes served, the default first."""
    slots: int
    """Streams it can hold."""
    lookahead_ms: int
    device: str
    """What it computes on, such as "cpu" or "gpu"."""
    phrase_lists: int
    """Different lists of phrases it can hold."""
    engine: str = "xla"
    """What computes the steps: a name of `EngineKind`, but not "auto"."""
    beam: int = 1
    """Hypotheses of its search; 1: greedy."""


class Hypothesis(_Struct, frozen=True, tag="hypothesis"):
    """The open segment so far: becomes the wire's `Partial`."""

    segment: int
    text: str
    stable: int


class SpokenWord(_Struct, frozen=True):
    """A word with its times, in milliseconds of session time."""

    word: str
    start_ms: int
    end_ms: int
    confidence: float


class Reading(_Struct, frozen=True):
    """Another reading of a segment."""

    text: str
    confidence: float


class Segment(_Struct, frozen=True, tag="segment"):
    """A finished segment: becomes the wire's `Final`."""

    segment: int
    text: str
    words: tuple[SpokenWord, ...]
    alternatives: tuple[Reading, ...] = ()


class Look(_Struct, frozen=True):
    """Where the model looked while it read one block: becomes the wire's `Attention`."""

    audio_ms: int
    """Session time at which the block ends."""
    frame_ms: float
    labels: tuple[str, ...]
    """U wordpieces."""
    weights: tuple[tuple[float, ...], ...]
    """[U, frames]"""
    end_probability: float


class Recognised(_Struct, frozen=True, tag="recognised"):
    """What a chunk of a stream brought."""

    stream: int
    events: tuple[Hypothesis | Segment, ...]
    position: int
    """Samples recognised so far."""
    keep_from: int
    """Audio before this sample will not be needed again, even if this worker dies."""
    queue_ms: float
    """From the arrival of the audio that completed the chunk to the start of its computation."""
    compute_ms: float
    """The computation of the batch."""
    batch: int
    """Streams in the batch."""
    looks: tuple[Look, ...] = ()
    """Of the chunk's blocks, and of those before that the likeliest hypothesis now reads otherwise, if `Open.attention`
    asked for them."""
    segment_ms: int = 0
    """Of the open segment, for `Open`."""
    begun_ms: int = 0
    """Of the open segment, for `Open`."""


class Flushed(_Struct, frozen=True, tag="flushed"):
    """Answer to `Flush`, after the last `Recognised` of the segment: the next begins at `keep_from`."""

    stream: int
    keep_from: int


class Finished(_Struct, frozen=True, tag="finished"):
    """Answer to `Finish`: the stream's last message."""

    stream: int


class Refused(_Struct, frozen=True, tag="refused"):
    """A stream that could not be opened or went wrong; the worker has forgotten it."""

    stream: int
    message: str
    """Fit to send to the peer."""
    unsupported: bool = False
    """Whether the request asked for what the model does not do; else the worker is full or at fault."""


ToWorker = Open | Audio | Flush | Finish | Drop | Shutdown
FromWorker = Started | Recognised | Flushed | Finished | Refused

encode = msgspec.msgpack.Encoder().encode
decode_to_worker = msgspec.msgpack.Decoder(ToWorker).decode
decode_from_worker = msgspec.msgpack.Decoder(FromWorker).decode
