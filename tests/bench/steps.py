"""Time of a step by engine and batch size, all engines taking turns on the same real recordings.

`python -m tests.bench.steps` prints the results as JSON; with `KERAS_BACKEND=jax` JAX's.
"""

import argparse
import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from asr.audio.files import read_blocks
from asr.engine_kind import EngineKind
from asr.language.fusion import make_search
from asr.model_folder import bundled_model, load_model
from asr.streaming.engine import Engine
from asr.streaming.engines import AnyEngine, make_engine
from asr.tokenizer import read_tokenizer
from asr.transducer.model import Transducer
from data.manifest import read_manifest

SAMPLES = Path(__file__).parents[2] / "data" / "samples" / "manifest.jsonl"
WARM_UP = 3  # steps left out: tracing, compiling, first allocations
ENGINES = ("eager", "graph", "xla", "litert", "litert-int8")  # on TensorFlow, greedily
BEAM = re.compile(r"(.+), beam of (\d+)")
SEARCHES = ("xla, beam of 16", "litert-int8, beam of 16")  # with the model's words, as people get it
SLOW = {"eager": 8, "graph": 40}  # steps of those that take long
EAGER_ROWS = 8  # above, a step without compilation takes seconds


@dataclass(frozen=True)
class StepTimes:
    """What one engine took.

    Attributes:
        engine: Its name; "eager" and "graph" are XLA's program not compiled. Greedy, unless a beam is named.
        chunk_ms: Audio of a chunk.
        rows: Streams in the step.
        p50_ms: Median.
        p99_ms: 99th percentile.
        steps: How many were timed.
        rounds: Rounds of the loop over labels in a block, on average of the engines that decode greedily.
    """

    engine: str
    chunk_ms: int
    rows: int
    p50_ms: float
    p99_ms: float
    steps: int
    rounds: float

    @property
    def share(self) -> float:
        """Of real time that a stream takes."""
        return self.p50_ms / self.rows / self.chunk_ms


def engine_of(name: str, folder: Path, model: Transducer, chunk_ms: int, rows: int) -> AnyEngine:
    """The engine of a row of the table, for the model of a folder."""
    if name in SLOW:
        return Engine(model, chunk_ms, rows, name)
    if found := BEAM.fullmatch(name):
        search = make_search(folder, model, read_tokenizer(folder / "tokenizer.model"), int(found[2]))
        return make_engine(EngineKind(found[1]), model, chunk_ms, rows, search=search)
    return make_engine(EngineKind.xla if name == "jax" else EngineKind(name), model, chunk_ms, rows)


def sample_chunks(samples: int) -> NDArray[np.float32]:
    """The bundled recordings in chunks: [n, samples]."""
    audio = np.concatenate([b for u in read_manifest(SAMPLES) for b in read_blocks(u.audio)])
    return audio[: len(audio) // samples * samples].reshape(-1, samples)


def time_engines(
    folder: Path,
    model: Transducer,
    names: Iterable[str],
    chunk_ms: int,
    rows: int,
    seconds: float,
    largest: int = 200,
) -> list[StepTimes]:
    """Times the engines' steps in turns, for streams that all have a chunk.

    Args:
        folder: Of the model, where its words are.
        model: The transducer.
        names: Of engines.
        chunk_ms: Audio of a chunk.
        rows: Streams.
        seconds: For all together, compilation not counted.
        largest: Steps of each at most.
    """
    engines = {name: engine_of(name, folder, model, chunk_ms, rows) for name in names}
    states = {name: engine.initial_state() for name, engine in engines.items()}
    first = next(iter(engines.values()))
    chunks = sample_chunks(first.samples)
    valid, none = np.full(rows, first.frames, np.int32), np.zeros(rows, bool)
    taken: dict[str, list[float]] = {name: [] for name in engines}
    rounds: list[float] = []
    until = float("inf")
    for n in range(largest + WARM_UP):
        samples = np.stack([chunks[(n + 7 * row) % len(chunks)] for row in range(rows)])
        for name, engine in engines.items():
            if n >= SLOW.get(name, largest) + WARM_UP:
                continue
            started = time.perf_counter()
            states[name], out = engine.step(states[name], samples, valid, none)
            if n >= WARM_UP:
                taken[name].append(time.perf_counter() - started)
            if n >= WARM_UP and not BEAM.fullmatch(name):
                labels = (out["labels"] >= 0).sum(-1).max(0)  # [blocks], of the stream with most
                rounds.append(float(np.minimum(labels + 1, out["labels"].shape[-1]).mean()))
        if n == WARM_UP:
            until = time.perf_counter() + seconds
        if time.perf_counter() > until:
            break
    found = []
    for name, times in taken.items():
        p50, p99 = (float(x) for x in np.percentile(times, [50, 99]) * 1000)
        mean_rounds = round(float(np.mean(rounds or [0.0])), 2)
        found.append(StepTimes(name, chunk_ms, rows, round(p50, 3), round(p99, 3), len(times), mean_rounds))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints JSON: a list of `StepTimes`."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.steps", description=__doc__)
    parser.add_argument("--model", type=Path, default=bundled_model())
    parser.add_argument("--chunk-ms", type=int, default=320)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument(
        "--engine", nargs="+", default=["jax"] if keras.backend.backend() == "jax" else [*ENGINES, *SEARCHES]
    )
    options = parser.parse_args(arguments)
    model, _ = load_model(options.model)
    found: list[StepTimes] = []
    for rows in options.rows:
        names = [name for name in options.engine if name != "eager" or rows <= EAGER_ROWS]
        found += time_engines(options.model, model, names, options.chunk_ms, rows, options.seconds)
    print(json.dumps([asdict(one) for one in found]))


if __name__ == "__main__":
    main()
