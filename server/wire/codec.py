"""Text frames to messages and back."""

from typing import TypeVar, get_args

import msgspec

from server.wire.errors import ErrorCode, WireError
from server.wire.messages import ClientMessage, Encoding, ServerMessage

MAX_CLIENT_BYTES = 64 * 1024
"""Longest text frame that a client may send, in bytes."""
MAX_SERVER_BYTES = 4 * 1024 * 1024
"""Longest text frame that a server may send, in bytes: hours of words with times fit."""

_MAX_EXPLANATION = 300  # characters; msgspec may quote the peer's value, which can be a whole frame long

_Message = TypeVar("_Message")
_ENCODER = msgspec.json.Encoder()
_CLIENT: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_SERVER: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def encode(message: ClientMessage | ServerMessage) -> str:
    """Write a message as the text of one websocket frame.

    Args:
        message: any message; the structs have already refused numbers that JSON cannot carry.

    Returns:
        JSON without line breaks.

    Raises:
        UnicodeEncodeError: a text holds half of a surrogate pair, which no UTF-8 can carry.
    """
    return _ENCODER.encode(message).decode()


def decode_client(frame: bytes | str) -> ClientMessage:
    """Read a text frame that a client sent.

    Args:
        frame: the frame's payload, UTF-8 if bytes.

    Returns:
        The message.

    Raises:
        WireError: the frame is longer than `MAX_CLIENT_BYTES`, or not a client's message.
    """
    return _decode(_CLIENT, get_args(ClientMessage), frame, MAX_CLIENT_BYTES)


def decode_server(frame: bytes | str) -> ServerMessage:
    """Read a text frame that a server sent.

    Args:
        frame: the frame's payload, UTF-8 if bytes.

    Returns:
        The message.

    Raises:
        WireError: the frame is longer than `MAX_SERVER_BYTES`, or not a server's message.
    """
    return _decode(_SERVER, get_args(ServerMessage), frame, MAX_SERVER_BYTES)


def _decode(
    decoder: msgspec.json.Decoder[_Message],
    structs: tuple[type[msgspec.Struct], ...],
    frame: bytes | str,
    limit: int,
) -> _Message:
    """Read one frame; every way in which it can be wrong becomes a `WireError`."""
    try:
        data = frame.encode() if isinstance(frame, str) else frame
        if len(data) > limit:
            text = f"expected at most {limit} bytes of text, got {len(data)}"
            raise WireError(ErrorCode.MESSAGE_TOO_BIG, text)
        return decoder.decode(data)
    except UnicodeError as error:
        raise WireError(ErrorCode.INVALID_MESSAGE, "expected UTF-8 text") from error
    except RecursionError as error:
        raise WireError(ErrorCode.INVALID_MESSAGE, "expected an object, got deeply nested values") from error
    except msgspec.DecodeError as error:
        raise WireError(ErrorCode.INVALID_MESSAGE, _explain(str(error), structs)) from error


def _explain(text: str, structs: tuple[type[msgspec.Struct], ...]) -> str:
    """Complete msgspec's text, which names type, bound and path but not the choices where there are some."""
    choices: list[str] = []
    if text.endswith("`$.type`") or "missing required field `type`" in text:
        choices = [str(struct.__struct_config__.tag) for struct in structs]
    elif text.endswith("`$.encoding`"):
        choices = [encoding.value for encoding in Encoding]
    if len(text) > _MAX_EXPLANATION:
        half = _MAX_EXPLANATION // 2
        text = f"{text[:half]} … {text[-half:]}"
    return f"{text}; expected one of {', '.join(choices)}" if choices else text
