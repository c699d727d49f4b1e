"""The worker's process: loads the model, compiles, and serves its socket until told to end or left alone."""

import logging
import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import zmq

from asr.engine_kind import EngineKind
from asr.language.fusion import make_search
from asr.model_folder import bundled_model, default_beam, load_model
from asr.program_cache import ProgramCache
from asr.streaming.engines import chosen
from asr.streaming.phrase_lists import PhraseLists
from asr.streaming.slots import SlotEngine
from asr.streaming.warm_up import BackgroundWarmUp
from server.worker import messages
from server.worker.messages import Shutdown, Started
from server.worker.worker import Worker

IDLE_MS = 500  # between looks at whether the server is still there
LINGER_MS = 1000  # for the last messages, at the end

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        connect: zmq address of the server's socket.
        model: Model folder; None: the bundled model.
        chunks_ms: Chunk sizes served, the default first.
        slots: Streams at most.
        batch: Streams in a step at most.
        engine: What computes the steps.
        beam: Hypotheses of the search; 1: greedy; 0: the phonetic search; None: as the model folder says.
    """

    connect: str
    model: Path | None
    chunks_ms: tuple[int, ...]
    slots: int
    batch: int
    engine: EngineKind = EngineKind.auto
    beam: int | None = None


def batch_sizes(largest: int, engine: EngineKind = EngineKind.xla) -> list[int]:
    """Powers of two up to `largest`, and that itself; of four on LiteRT, whose programs hold the weights each."""
    step = 1 if engine is EngineKind.xla else 2
    return [*(2**n for n in range(0, largest.bit_length(), step) if 2**n < largest), largest]


def serve(options: Options, cache: ProgramCache | None = None) -> None:
    """Run the worker.

    It takes streams as soon as one program for each chunk size is compiled; the others follow meanwhile.

    Args:
        options: What the command line says.
        cache: Where compiled programs are kept.

    Raises:
        AsrError: the model or the options will not do.
    """
    parent = os.getppid()
    socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    socket.linger = LINGER_MS
    socket.sndhwm = socket.rcvhwm = 0  # the server bounds what it sends; answers are as many
    socket.connect(options.connect)
    ending = _Ending()
    folder = options.model or bundled_model()
    model, tokenizer = load_model(folder)
    kind = chosen(options.engine, model.config)
    batches = batch_sizes(min(options.batch, options.slots), kind)
    beam = default_beam(folder) if options.beam is None else options.beam
    search = make_search(folder, model, tokenizer, beam)
    phrases = PhraseLists(tokenizer, words=search.phrase_words if search else None)
    # LiteRT's threads wait for one another by spinning, and one each for several workers does more (docs/engines.md).
    engine = SlotEngine(model, options.chunks_ms, options.slots, batches, search, phrases, kind=kind, threads=1)
    prepared = partial(_prepared, cache)
    engine.warm_up(prepared, engine.essential)
    rest = BackgroundWarmUp(engine, prepared)
    worker = Worker(engine, tokenizer, time.monotonic)
    started = Started(
        model=folder.name,
        chunks_ms=options.chunks_ms,
        slots=options.slots,
        lookahead_ms=engine.lookahead_ms,
        device=_device(),
        phrase_lists=phrases.lists,
        engine=kind,
        beam=beam,
    )
    socket.send(messages.encode(started))
    rest.start()
    while not ending.now and os.getppid() == parent:
        if socket.poll(0 if worker.busy else IDLE_MS):
            _drain(socket, worker, ending)
        for answer in worker.work():
            socket.send(messages.encode(answer))
    socket.close()
    rest.stop()


class _Ending:
    """Whether the process is to end: SIGTERM sets it; Ctrl-C in a terminal is the server's matter."""

    def __init__(self) -> None:
        self.now = False
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def _end(self, number: int, frame: object) -> None:
        self.now = True


def _drain(socket: zmq.Socket[bytes], worker: Worker, ending: _Ending) -> None:
    """Take everything that has come."""
    while True:
        try:
            data = socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return
        message = messages.decode_to_worker(data)
        ending.now = ending.now or isinstance(message, Shutdown)
        for answer in worker.handle(message):
            socket.send(messages.encode(answer))


def _prepared(cache: ProgramCache | None, chunk_ms: int, batch: int, seconds: float) -> None:
    logger.info("prepared the step of %d ms for %d streams in %.1f s", chunk_ms, batch, seconds)
    if cache:
        cache.seal()


def _device() -> str:
    """What the backend computes on."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return str(jax.devices()[0].platform)
    import tensorflow as tf

    return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"
