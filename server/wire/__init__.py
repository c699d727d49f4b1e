"""The native protocol of the streaming websocket: what clients and servers agree on.

Text frames carry one JSON object whose `type` names the message; binary frames carry audio. This package
turns text into structs and structs into text (`codec`), defines the structs (`messages`) and the refusals
(`errors`), and converts raw samples (`pcm`). It does no I/O, keeps no state and imports nothing else of ours.

An unknown type, an unknown field, a missing field or a value out of range raises `WireError`, whose text says
what was expected and where. Nothing is guessed and nothing is ignored.
"""

from server.wire.codec import MAX_CLIENT_BYTES, MAX_SERVER_BYTES, decode_client, decode_server, encode
from server.wire.errors import ErrorCode, WireError
from server.wire.messages import (
    ACK_BYTES,
    Ack,
    Alternative,
    Attention,
    ClientMessage,
    Done,
    Encoding,
    Endpoint,
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
    Timing,
    Word,
)

__all__ = [
    "ACK_BYTES",
    "MAX_CLIENT_BYTES",
    "MAX_SERVER_BYTES",
    "Ack",
    "Alternative",
    "Attention",
    "ClientMessage",
    "Done",
    "Encoding",
    "Endpoint",
    "Error",
    "ErrorCode",
    "Final",
    "Flush",
    "Flushed",
    "Partial",
    "Ready",
    "Resume",
    "ServerMessage",
    "Start",
    "Stop",
    "Timing",
    "WireError",
    "Word",
    "decode_client",
    "decode_server",
    "encode",
]
