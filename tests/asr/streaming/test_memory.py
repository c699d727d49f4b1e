"""A long stream uses the memory of a short one."""

import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from asr.streaming.recognizer import Recognizer, Stream

CHUNK_SAMPLES = 20_480  # 1280 ms
HOUR_CHUNKS = 2813


def state_bytes(recognizer: Recognizer) -> int:
    return sum(np.asarray(value).nbytes for value in keras.tree.flatten(recognizer._state))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def listen(stream: Stream, sound: np.ndarray, chunks: int) -> int:
    """Recognises so many chunks and keeps nothing; returns how many events came."""
    events = 0
    for n in range(chunks):
        start = n * CHUNK_SAMPLES % len(sound)
        events += len(stream.accept(sound[start : start + CHUNK_SAMPLES]))
        stream.segments.clear()  # the words of a transcript are the caller's
    return events


def test_memory_is_flat_over_an_hour(recogniser: Callable[..., Recognizer], make_audio: Callable) -> None:
    recognizer, sound = recogniser(1280, silence_ms=400), make_audio(12.8, 1)
    with recognizer.stream() as stream:
        listen(stream, sound, 200)  # caches and pools fill
        state, resident = state_bytes(recognizer), resident_bytes()
        gc.collect()
        tracemalloc.start()
        try:
            assert listen(stream, sound, 100) > 20
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            assert listen(stream, sound, HOUR_CHUNKS - 400) > 500
            tracemalloc.start()
            listen(stream, sound, 100)
            gc.collect()
            after = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
        assert 0 <= HOUR_CHUNKS * 1280 - stream.audio_ms < 1280
        assert state_bytes(recognizer) == state
        assert abs(after - before) < 200_000  # allocated in 100 chunks and still there, late as early
        assert resident_bytes() - resident < 32_000_000  # of 230 MB that came through
