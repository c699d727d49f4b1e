"""The worker's process over its socket, from outside: no TensorFlow in this test."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq

from asr.engine_kind import EngineKind
from asr.streaming.phrase_lists import LISTS
from asr.streaming.recognizer import Recognizer
from server.worker import messages
from server.worker.messages import (
    Audio,
    Finish,
    Finished,
    FromWorker,
    Open,
    Recognised,
    Segment,
    Shutdown,
    Started,
    ToWorker,
)
from server.worker.process import batch_sizes

ROOT = Path(__file__).parents[3]
PATIENCE_MS = 300_000  # for loading and compiling on a busy machine
SILENCE_MS = 400


class Life:
    """A worker process and the server's end of its socket."""

    def __init__(self, folder: Path, address: str, *options: str) -> None:
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.bind(address)
        command = [sys.executable, "-m", "server.worker", "--connect", address, "--model", str(folder), *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": ""})

    def send(self, message: ToWorker) -> None:
        self.socket.send(messages.encode(message))

    def receive(self) -> FromWorker:
        if not self.socket.poll(PATIENCE_MS):
            self.process.kill()
            raise AssertionError(f"no message; the process said {self.process.communicate()[1].decode()}")
        return messages.decode_from_worker(self.socket.recv())

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.socket.close()


@pytest.fixture
def live(model_folder: Path, tmp_path: Path) -> Iterator[Callable[..., Life]]:
    lives: list[Life] = []

    def start(*options: str) -> Life:
        lives.append(Life(model_folder, f"ipc://{tmp_path}/{len(lives)}", *options))
        return lives[-1]

    yield start
    for life in lives:
        life.end()


def programs_in(cache: Path) -> dict[Path, int]:
    """When each program that is kept was written."""
    found = [path for kind in ("pb", "tflite", "graph") for path in cache.glob(f"programs/*/*.{kind}")]
    return {path: path.stat().st_mtime_ns for path in found}


def audio(samples: np.ndarray) -> Audio:
    return Audio(stream=7, samples=samples.astype("<f4").tobytes())


@pytest.mark.parametrize(("engine", "programs"), [("xla", 2), ("auto", 10)])
def test_a_killed_worker_s_stream_goes_on_in_the_next(
    live: Callable[..., Life],
    model_folder: Path,
    engine: str,
    programs: int,
    sounds: list[np.ndarray],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed in mid-stream; the audio since `keep_from` gives the same words in another process.

    That process compiles nothing: it finds the programs of the one before.
    """
    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache"))
    sound, segments, keep_from = sounds[4], [], 0
    options = ("--chunks-ms", "160", "--chunks-ms", "320", "--slots", "2", "--batch", "1", "--engine", engine)
    first = live(*options)
    started = first.receive()
    assert isinstance(started, Started)
    assert (started.chunks_ms, started.slots, started.lookahead_ms) == ((160, 320), 2, 0)
    assert started.phrase_lists == LISTS
    assert started.model == "random"
    assert started.device in ("cpu", "gpu")
    assert started.engine in ("xla", "litert-int8")
    first.send(Open(stream=7, chunk_ms=160, silence_ms=SILENCE_MS))
    first.send(audio(sound[: len(sound) // 2]))
    while not segments:
        answer = first.receive()
        assert isinstance(answer, Recognised)
        keep_from = answer.keep_from
        segments += [event for event in answer.events if isinstance(event, Segment)]
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    kept = programs_in(tmp_path / "cache")
    assert len(kept) == programs  # one of each chunk size; of LiteRT three more, and a graph

    second = live(*options)
    assert isinstance(second.receive(), Started)
    assert programs_in(tmp_path / "cache") == kept
    second.send(Open(stream=7, chunk_ms=160, silence_ms=SILENCE_MS, position=keep_from, segment=len(segments)))
    second.send(audio(sound[keep_from:]))
    second.send(Finish(stream=7))
    while not isinstance(answer := second.receive(), Finished):
        assert isinstance(answer, Recognised)
        segments += [event for event in answer.events if isinstance(event, Segment)]
    alone = Recognizer(model_folder, 160, silence_ms=SILENCE_MS, engine=started.engine)
    expected = alone.transcribe(sound).segments
    assert [s.text for s in segments] == [s.text for s in expected]
    assert [[w.start_ms for w in s.words] for s in segments] == [[w.start_ms for w in s.words] for s in expected]

    second.send(Shutdown())
    assert second.process.wait(30) == 0


def test_sigterm_ends_it_and_ctrl_c_does_not(live: Callable[..., Life]) -> None:
    life = live("--chunks-ms", "160", "--slots", "1", "--batch", "1")
    assert isinstance(life.receive(), Started)
    life.process.send_signal(signal.SIGINT)
    life.send(Open(stream=1, chunk_ms=160, silence_ms=SILENCE_MS))
    life.send(Finish(stream=1))
    assert life.receive() == Finished(stream=1)
    life.process.terminate()
    assert life.process.wait(30) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--chunks-ms", "fast"), "argument --chunks-ms: invalid int value: 'fast'"),
        (("--chunks-ms", "100"), "chunk_ms: expected 160, 320 or a multiple of 640"),
        (("--model", "nowhere"), "expected a model folder"),
    ],
)
def test_wrong_options_are_told(live: Callable[..., Life], options: tuple[str, str], message: str) -> None:
    life = live(*options)
    assert message in life.process.communicate(timeout=PATIENCE_MS / 1000)[1].decode()
    assert life.process.returncode == 2


def test_batch_sizes_that_are_compiled() -> None:
    assert batch_sizes(1) == [1]
    assert batch_sizes(32) == [1, 2, 4, 8, 16, 32]
    assert batch_sizes(48) == [1, 2, 4, 8, 16, 32, 48]
    assert batch_sizes(32, EngineKind.litert_int8) == [1, 4, 16, 32]
    assert batch_sizes(3, EngineKind.litert) == [1, 3]
