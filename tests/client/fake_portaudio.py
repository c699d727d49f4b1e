"""A stand-in for the sounddevice module."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any


class PortAudioError(Exception):
    """As sounddevice's."""


class FakeStream:
    """A stream whose audio the test gives."""

    def __init__(self, portaudio: "FakePortAudio", options: dict[str, Any]) -> None:
        self.options = options
        self.callback: Callable[..., None] = options["callback"]
        self.finished: Callable[[], None] = options["finished_callback"]
        self.started = self.closed = False
        self._fails = portaudio.start_fails

    def start(self) -> None:
        if self._fails:
            raise PortAudioError("device busy")
        self.started = True

    def close(self) -> None:
        self.closed = True

    def speak(self, data: bytes, overflow: bool = False) -> None:
        """As PortAudio's thread does, with a buffer that it uses again."""
        buffer = bytearray(data)
        self.callback(buffer, len(data) // 2, None, SimpleNamespace(input_overflow=overflow))
        buffer[:] = bytes(len(buffer))


class FakePortAudio:
    """Devices, and the rates that they take.

    Attributes:
        streams: Opened so far.
        start_fails: Whether a stream does not start.
    """

    PortAudioError = PortAudioError

    def __init__(self, rates: tuple[int, ...] = (16_000,), default_rate: float = 44_100.0) -> None:
        self.rates, self.default_rate = rates, default_rate
        self.streams: list[FakeStream] = []
        self.start_fails = False
        self.default = SimpleNamespace(device=(1, 0))
        self.devices = [
            {"name": "Speakers", "max_input_channels": 0, "default_samplerate": default_rate},
            {"name": "Headset", "max_input_channels": 1, "default_samplerate": default_rate},
            {"name": "Array", "max_input_channels": 4, "default_samplerate": default_rate},
        ]

    def query_devices(self, device: int | str | None = None, kind: str | None = None) -> Any:
        if kind is None:
            return self.devices
        found = [d for i, d in enumerate(self.devices) if device in (None, i, d["name"]) and d["max_input_channels"]]
        if not found:
            raise ValueError(f"No input device matching {device!r}")
        return found[0]

    def check_input_settings(self, device: int | str | None, channels: int, dtype: str, samplerate: int) -> None:
        assert (channels, dtype) == (1, "int16")
        if samplerate not in self.rates:
            raise PortAudioError("Invalid sample rate")

    def RawInputStream(self, **options: Any) -> FakeStream:
        self.streams.append(FakeStream(self, options))
        return self.streams[-1]
