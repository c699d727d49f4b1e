"""Audio in a container, as it arrives, to 16 kHz: Ogg, WebM, FLAC, MP3, MP4, ADTS and WAV."""

import threading

import numpy as np
from numpy.typing import NDArray

from server.audio.errors import AudioError
from server.audio.ogg import OggPages
from server.audio.pipe import Pipe
from server.audio.samples import TARGET_RATE

MOST_SECONDS = 300  # decoded at a time: some bytes of FLAC can stand for minutes
NO_SAMPLES = np.zeros(0, np.float32)


class ContainerDecoder:
    """Decodes the first audio stream of a container while it arrives.

    FFmpeg pulls its input, so it runs in a thread of its own that waits in a `Pipe`. `decode` gives the bytes to it
    and waits until it wants more: nothing queues up, and what comes out depends on the bytes alone, not on their
    cut or on time.
    """

    blocking = True

    def __init__(self) -> None:
        """Starts without audio; the thread starts with the first byte."""
        self._pipe = Pipe()
        self._pages = OggPages()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._decoded: list[NDArray[np.float32]] = []
        self._pending = 0  # samples in `_decoded`
        self._error: AudioError | None = None
        self._fault: BaseException | None = None
        self.samples = self.received_bytes = 0

    def decode(self, data: bytes) -> NDArray[np.float32]:
        """Decodes the next bytes.

        Returns:
            [N] at 16 kHz. A container's parts are some hundred milliseconds long, and nothing comes out of half a one.

        Raises:
            AudioError: if this is no container with audio that can be read as it comes, or it is damaged.
            RuntimeError: after `finish` or `close`, or damage to an Ogg stream.
        """
        if not data:
            return NO_SAMPLES
        self._pipe.check_open()
        begin = self.received_bytes
        self.received_bytes += len(data)
        try:
            self._pages.check(data)
        except AudioError as damage:
            self._write(data[: max(0, self._pages.offset - begin)])
            return self._rest(damage)
        self._write(data)
        return self._take()

    def finish(self) -> NDArray[np.float32]:
        """Decodes the rest, [N] at 16 kHz.

        Raises:
            AudioError: if the container breaks off, or has told nothing yet.
        """
        try:
            self._pages.end()
        except AudioError as damage:
            return self._rest(damage)
        return self._rest()

    def realign(self) -> None:
        """Nothing to forget: the client goes on with the next byte."""

    def close(self) -> None:
        """Ends the thread."""
        self._pipe.close()
        if self._thread is not None:
            self._thread.join()

    def _write(self, data: bytes) -> None:
        """Gives bytes to the thread."""
        if data:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="container", daemon=True)
                self._thread.start()
            self._pipe.write(data)

    def _rest(self, damage: AudioError | None = None) -> NDArray[np.float32]:
        """What is left, as no more bytes come: because of damage, which tells more than what FFmpeg then misses."""
        self._pipe.end()
        if self._thread is not None:
            self._thread.join()
        self._error = damage or self._error
        return self._take()

    def _take(self) -> NDArray[np.float32]:
        """What was decoded; the thread is waiting or has ended."""
        if self._fault is not None:
            raise self._fault
        with self._lock:
            decoded, self._decoded, self._pending = self._decoded, [], 0
        samples = np.concatenate(decoded) if decoded else NO_SAMPLES
        self.samples += len(samples)
        if self._error is not None:
            self._error.samples = samples
            raise self._error
        return samples

    def _run(self) -> None:
        """The thread: FFmpeg from the pipe to `_decoded`."""
        from server.audio.ffmpeg import decode_stream  # PyAV takes a while to load, and most sessions need none

        try:
            for samples in decode_stream(self._pipe):
                if self._pipe.closed:
                    break
                with self._lock:
                    self._decoded.append(samples)
                    self._pending += len(samples)
                if self._pending > MOST_SECONDS * TARGET_RATE:
                    raise AudioError(f"expected at most {MOST_SECONDS} s of audio at a time: send smaller frames")
        except AudioError as error:
            self._error = error
        except BaseException as fault:  # handed to the caller, in whose thread it can be dealt with
            self._fault = fault
        finally:
            self._pipe.abandon()
