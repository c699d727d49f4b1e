"""The client of the service: installs and runs without TensorFlow.

    async with connect("ws://localhost:8080", sample_rate=16_000) as session:
        await session.send(audio)
        await session.stop()
        async for event in session:
            print(event.text)

From our other packages it imports only `server.wire`, which holds what both ends agree on. Names are looked up when
they are first used, so that `import client` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.api import LiveSession, connect
    from client.backoff import Backoff
    from client.errors import (
        AudioFileError,
        ConnectionFailedError,
        ConnectionLostError,
        EarshotError,
        LimitExceededError,
        MicrophoneError,
        OverloadedError,
        RefusedError,
        ResumeWindowError,
        ServerProtocolError,
        SessionClosedError,
        UnauthorizedError,
    )
    from client.recording import transcribe, transcribe_file
    from client.transcript import Transcript
    from server.wire import Done, Encoding, Final, Partial, Word

__all__ = [
    "AudioFileError",
    "Backoff",
    "ConnectionFailedError",
    "ConnectionLostError",
    "Done",
    "EarshotError",
    "Encoding",
    "Final",
    "LimitExceededError",
    "LiveSession",
    "MicrophoneError",
    "OverloadedError",
    "Partial",
    "RefusedError",
    "ResumeWindowError",
    "ServerProtocolError",
    "SessionClosedError",
    "Transcript",
    "UnauthorizedError",
    "Word",
    "connect",
    "transcribe",
    "transcribe_file",
]

_HOMES = {
    "LiveSession": "client.api",
    "connect": "client.api",
    "Backoff": "client.backoff",
    "transcribe": "client.recording",
    "transcribe_file": "client.recording",
    "Transcript": "client.transcript",
    "Done": "server.wire",
    "Encoding": "server.wire",
    "Final": "server.wire",
    "Partial": "server.wire",
    "Word": "server.wire",
}


def __getattr__(name: str) -> object:
    """Imports a public name's module when the name is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "client.errors")), name)
    globals()[name] = value
    return value
