"""Whether cost is linear: in the length of a recording, and in the left window; and what an idle stream keeps.

`python -m tests.bench.length --hours 2` recognises that much audio in one stream, and 2 minutes before and after it.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from asr.features import SAMPLE_RATE
from asr.streaming.recognizer import Recognizer
from tests.bench.steps import sample_chunks

BLOCK = SAMPLE_RATE  # samples handed over at a time


def repeated(seconds: float) -> Iterator[NDArray[np.float32]]:
    """The bundled recordings again and again, in blocks of a second."""
    blocks = sample_chunks(BLOCK)
    for n in range(round(seconds)):
        yield blocks[n % len(blocks)]


def seconds_to_recognise(recognizer: Recognizer, seconds: float) -> float:
    """Wall-clock time of one stream of so much audio."""
    started = time.perf_counter()
    recognizer.transcribe(repeated(seconds))
    return time.perf_counter() - started


def linearity(recognizer: Recognizer, short_s: float, long_s: float) -> dict[str, float]:
    """A long recording against a short one, which is taken before and after it.

    Returns:
        Seconds of both, and the ratio of their costs by that of their lengths: 1 is linear.
    """
    seconds_to_recognise(recognizer, short_s)
    before = seconds_to_recognise(recognizer, short_s)
    long = seconds_to_recognise(recognizer, long_s)
    short = (before + seconds_to_recognise(recognizer, short_s)) / 2
    ratio = (long / short) / (long_s / short_s)
    return {"short_s": round(short, 3), "long_s": round(long, 3), "cost_by_length": round(ratio, 3)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.length", description=__doc__)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--chunk-ms", type=int, default=640)
    parser.add_argument("--engine", default="xla")
    options = parser.parse_args(arguments)
    recognizer = Recognizer(chunk_ms=options.chunk_ms, engine=options.engine, beam=1)
    print(json.dumps(linearity(recognizer, 120.0, 3600.0 * options.hours)))


if __name__ == "__main__":
    main()
