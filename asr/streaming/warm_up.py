"""The rest of the programs, compiled while the first ones already serve.

A step of few streams runs in the largest program until its own is there: slower, with the same results.
"""

import logging
import threading
from collections.abc import Callable

import keras

from asr.streaming.slots import SlotEngine

logger = logging.getLogger(__name__)


class BackgroundWarmUp:
    """A thread that compiles what is not essential.

    TensorFlow's variables are locked for each operation, and a program that is compiled touches no stream's slot, so
    that steps may run beside it. Not so JAX's arrays, which an update consumes: there, `start` compiles all at once.

    Args:
        engine: Its essential programs are compiled.
        progress: Hears of each program, as `SlotEngine.warm_up` takes it; called in the thread.
    """

    def __init__(self, engine: SlotEngine, progress: Callable[[int, int, float], None]) -> None:
        """Compiles nothing yet."""
        self._engine, self._progress = engine, progress
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="warm-up")

    def start(self) -> None:
        """Compiles; with TensorFlow, returns at once."""
        if keras.backend.backend() == "tensorflow":
            self._thread.start()
        else:
            self._run()

    def stop(self) -> None:
        """Ends after the program that is being compiled."""
        self._stopping.set()
        self.join()

    def join(self) -> None:
        """Waits for the end."""
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        essential = set(self._engine.essential)
        for program in self._engine.engines:
            if self._stopping.is_set():
                return
            if program in essential:
                continue
            try:
                self._engine.warm_up(self._progress, [program])
            except Exception:  # of whatever kind: the worker serves on without this program
                logger.exception("the step of %d ms for %d streams cannot be compiled", *program)
