import asyncio
import sys
from typing import Any

import pytest

from client import microphone as module
from client.errors import MicrophoneError
from client.microphone import BLOCK_MS, Microphone, input_devices, load_portaudio
from tests.client.fake_portaudio import FakePortAudio


@pytest.mark.asyncio
async def test_blocks_come_in_order_and_are_copies() -> None:
    portaudio = FakePortAudio()
    async with Microphone(portaudio=portaudio) as microphone:
        (stream,) = portaudio.streams
        assert stream.started
        assert stream.options["samplerate"] == microphone.sample_rate == 16_000
        assert stream.options["blocksize"] == 16 * BLOCK_MS
        await asyncio.to_thread(stream.speak, b"ab")
        await asyncio.to_thread(stream.speak, b"cd")
        assert [await anext(microphone), await anext(microphone)] == [b"ab", b"cd"]
    assert stream.closed


@pytest.mark.asyncio
async def test_what_was_said_before_stop_still_comes() -> None:
    portaudio = FakePortAudio()
    async with Microphone(portaudio=portaudio) as microphone:
        portaudio.streams[0].speak(b"ab", overflow=True)
        await asyncio.sleep(0)
        microphone.stop()
        portaudio.streams[0].speak(b"cd")
        await asyncio.sleep(0)
        assert [block async for block in microphone] == [b"ab"]
        assert microphone.overflows == 1


@pytest.mark.asyncio
async def test_a_device_that_goes_away() -> None:
    portaudio = FakePortAudio()
    async with Microphone(portaudio=portaudio) as microphone:
        portaudio.streams[0].speak(b"ab")
        portaudio.streams[0].finished()
        assert await anext(microphone) == b"ab"
        with pytest.raises(MicrophoneError, match="is it still plugged in"):
            await anext(microphone)


@pytest.mark.asyncio
async def test_audio_that_nobody_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_S", 0.1)
    portaudio = FakePortAudio()
    async with Microphone(portaudio=portaudio) as microphone:
        for data in (b"ab", b"cd", b"ef", b"gh"):
            portaudio.streams[0].speak(data)
        await asyncio.sleep(0)
        assert [await anext(microphone), await anext(microphone)] == [b"ab", b"cd"]
        with pytest.raises(MicrophoneError, match=r"could not be sent for 0\.1 s"):
            await anext(microphone)


@pytest.mark.parametrize(
    ("rates", "default", "used"),
    [((16_000, 44_100), 44_100.0, 16_000), ((44_100,), 44_100.0, 44_100), ((48_000, 96_000), 96_000.0, 48_000)],
)
def test_the_rate_is_one_that_the_device_takes(rates: tuple[int, ...], default: float, used: int) -> None:
    assert Microphone(portaudio=FakePortAudio(rates, default)).sample_rate == used


def test_no_usable_rate() -> None:
    with pytest.raises(MicrophoneError, match=r"16000 Hz: Invalid sample rate; 44100 Hz: .*; 48000 Hz: "):
        Microphone(portaudio=FakePortAudio(rates=(96_000,)))


@pytest.mark.parametrize("device", ["Kazoo", 0])
def test_no_such_device(device: str | int) -> None:
    with pytest.raises(MicrophoneError, match="see asr-client listen --list-devices"):
        Microphone(device, FakePortAudio())


@pytest.mark.asyncio
async def test_a_device_that_is_taken() -> None:
    portaudio = FakePortAudio()
    portaudio.start_fails = True
    with pytest.raises(MicrophoneError, match="cannot be opened: device busy"):
        async with Microphone(portaudio=portaudio):
            pytest.fail("opened")
    assert portaudio.streams[0].closed


def test_devices_that_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", FakePortAudio())
    assert input_devices() == [(1, "Headset", 1, True), (2, "Array", 4, False)]


def test_without_sounddevice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MicrophoneError, match="pip install sounddevice"):
        load_portaudio()


def test_without_portaudio(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        """Fails as sounddevice does when it finds no library."""

        def find_spec(self, name: str, path: Any, target: Any = None) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(MicrophoneError, match="apt-get install libportaudio2"):
        load_portaudio()
