"""`asr-client listen` hears a virtual microphone: the monitor of a PulseAudio sink to which a recording is played.

Needs Debian's pulseaudio, pulseaudio-utils, libasound2-plugins and libportaudio2.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from tests.client.fake_server import RATE, FakeServer

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "data" / "samples" / "422-122949-0033.mp3"


@pytest.fixture
def sound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of programs that use a sound server of their own."""
    if shutil.which("pulseaudio") is None:
        pytest.skip("PulseAudio is not installed")
    folder = tmp_path_factory.mktemp("pulse")  # short: a socket's path may have 107 characters
    folder.chmod(0o700)
    base = {name: value for name, value in os.environ.items() if not name.startswith(("PULSE", "EARSHOT"))}
    environment = {**base, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    modules = (
        f"module-native-protocol-unix socket={folder}/native auth-anonymous=1",
        f"module-null-sink sink_name=speaker rate={RATE} channels=1 format=s16le",
    )
    command = ["pulseaudio", "-n", "--daemonize=yes", "--exit-idle-time=-1", "--disable-shm=yes"]
    command += [f"--load={module}" for module in modules]
    # Daemonised, it returns when it is ready.
    subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL, timeout=60)
    try:
        yield {**environment, "PULSE_SERVER": f"unix:{folder}/native", "PULSE_SOURCE": "speaker.monitor"}
    finally:
        subprocess.run(["pulseaudio", "--kill"], env=environment, check=True, stderr=subprocess.DEVNULL, timeout=60)


def likeness(whole: np.ndarray, part: np.ndarray) -> float:
    """The highest correlation of `part` with any stretch of `whole`, up to 1."""
    size = 1 << (len(whole) + len(part)).bit_length()
    products = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size)), size)
    at = int(np.argmax(products[: len(whole)]))
    stretch = whole[at : at + len(part)]
    return float(products[at] / (np.linalg.norm(stretch) * np.linalg.norm(part)))


@pytest.mark.asyncio
async def test_the_server_gets_what_the_microphone_hears(sound: dict[str, str], tmp_path: Path) -> None:
    samples, rate = soundfile.read(RECORDING)
    spoken = soxr.resample(samples, rate, RATE)
    soundfile.write(tmp_path / "spoken.wav", spoken, RATE, subtype="PCM_16")
    async with asyncio.timeout(120), FakeServer() as server:
        command = [sys.executable, "-m", "client.cli", "listen", "--url", server.url, "--device", "pulse"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        listening = await asyncio.create_subprocess_exec(*command, env=sound, **pipes)
        try:
            await server.until(lambda: bool(server.sessions) and server.session.samples > 0, 60)
            playing = await asyncio.create_subprocess_exec("paplay", str(tmp_path / "spoken.wav"), env=sound)
            assert await playing.wait() == 0
            played = server.session.samples
            await server.until(lambda: server.session.samples >= played + RATE // 2)
            listening.send_signal(signal.SIGINT)
            out, err = await listening.communicate()
        finally:
            if listening.returncode is None:
                listening.kill()
    assert listening.returncode == 0, err.decode()
    assert server.session.stopped
    assert out.decode().splitlines() == [final.text for final in server.session.finals]
    heard = np.frombuffer(server.session.received, "<i2").astype(np.float64)
    assert likeness(heard, spoken) > 0.95
