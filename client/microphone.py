"""The microphone, through PortAudio."""

import asyncio
from collections import deque
from types import ModuleType
from typing import Any, Self

from client.broadcast import Broadcast
from client.errors import MicrophoneError

PREFERRED_RATE = 16_000  # Hz, what recognition runs at
MAX_RATE = 48_000  # Hz, what a session takes
BLOCK_MS = 50
MAX_WAITING_S = 120.0  # audio that waits for being sent, beyond what the session keeps


def load_portaudio() -> ModuleType:
    """The sounddevice module, which loads PortAudio when it is imported.

    Raises:
        MicrophoneError: if either is missing, saying how to install it.
    """
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise MicrophoneError("sounddevice is not installed: pip install sounddevice") from error
    except OSError as error:
        raise MicrophoneError(
            "the PortAudio library is not installed (Debian and Ubuntu: apt-get install libportaudio2; "
            "Fedora: dnf install portaudio; macOS: brew install portaudio)"
        ) from error
    module: ModuleType = sounddevice
    return module


def input_devices() -> list[tuple[int, str, int, bool]]:
    """Index, name, channels and whether it is the default, of every device that records."""
    portaudio = load_portaudio()
    default = portaudio.default.device[0]
    devices = enumerate(portaudio.query_devices())
    return [(i, d["name"], d["max_input_channels"], i == default) for i, d in devices if d["max_input_channels"] > 0]


def usable_rate(portaudio: Any, device: int | str | None) -> int:
    """A sample rate that both the device and a session take, in hertz.

    Raises:
        MicrophoneError: if there is no such device, or no such rate.
    """
    try:
        own = int(portaudio.query_devices(device, "input")["default_samplerate"])
    except (ValueError, portaudio.PortAudioError) as error:
        named = "a microphone, found none" if device is None else f"a microphone named {device!r}"
        raise MicrophoneError(f"expected {named} ({error}): see asr-client listen --list-devices") from error
    reasons = []
    for rate in dict.fromkeys((PREFERRED_RATE, min(own, MAX_RATE), MAX_RATE)):
        try:
            portaudio.check_input_settings(device=device, channels=1, dtype="int16", samplerate=rate)
            return rate
        except portaudio.PortAudioError as error:
            reasons.append(f"{rate} Hz: {error}")
    raise MicrophoneError(f"the device gives no audio of one channel that a session takes ({'; '.join(reasons)})")


class Microphone:
    """Blocks of 16-bit samples as they are spoken; `async with` opens the device.

    Args:
        device: Index, or part of the name; None: the default.
        portaudio: The sounddevice module; None: imported.

    Attributes:
        sample_rate: Hertz.
        overflows: How often the system lost audio before it got here.

    Raises:
        MicrophoneError: if it cannot be used.
    """

    def __init__(self, device: int | str | None = None, portaudio: Any = None) -> None:
        """Finds the device and its rate."""
        self._portaudio = portaudio or load_portaudio()
        self._device = device
        self.sample_rate = usable_rate(self._portaudio, device)
        self.overflows = 0
        self._blocks: deque[bytes] = deque()
        self._changed = Broadcast()
        self._stopped = False
        self._error: MicrophoneError | None = None
        self._stream: Any = None

    async def __aenter__(self) -> Self:
        """Starts recording."""
        loop = asyncio.get_running_loop()

        def callback(data: Any, frames: int, time: Any, status: Any) -> None:
            loop.call_soon_threadsafe(self._arrived, bytes(data), bool(status.input_overflow))

        def finished() -> None:
            loop.call_soon_threadsafe(self._ended)

        try:
            self._stream = self._portaudio.RawInputStream(
                samplerate=self.sample_rate,
                blocksize=self.sample_rate * BLOCK_MS // 1000,
                device=self._device,
                channels=1,
                dtype="int16",
                callback=callback,
                finished_callback=finished,
            )
            self._stream.start()
        except self._portaudio.PortAudioError as error:
            if self._stream is not None:
                self._stream.close()
            raise MicrophoneError(f"the microphone cannot be opened: {error}") from error
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the device."""
        await asyncio.to_thread(self._stream.close)

    def stop(self) -> None:
        """No more audio: iteration ends after what was recorded."""
        self._stopped = True
        self._changed.wake()

    def __aiter__(self) -> Self:
        """The blocks: see `__anext__`."""
        return self

    async def __anext__(self) -> bytes:
        """The next block.

        Raises:
            MicrophoneError: if the device went away, or audio could not be sent for too long.
        """
        await self._changed.until(lambda: bool(self._blocks) or self._stopped or self._error is not None)
        if self._blocks:
            return self._blocks.popleft()
        if self._error is not None and not self._stopped:
            raise self._error
        raise StopAsyncIteration

    def _arrived(self, block: bytes, overflow: bool) -> None:
        self.overflows += overflow
        if self._stopped or self._error is not None:
            return
        if len(self._blocks) * BLOCK_MS >= 1000 * MAX_WAITING_S:
            self._error = MicrophoneError(f"audio could not be sent for {MAX_WAITING_S:g} s longer than it is kept")
        else:
            self._blocks.append(block)
        self._changed.wake()

    def _ended(self) -> None:
        self._error = self._error or MicrophoneError("the device stopped recording: is it still plugged in?")
        self._changed.wake()
