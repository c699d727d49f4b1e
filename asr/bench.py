"""`make bench`: time of the compiled step against the same step uncompiled, side by side in one run.

Definitions. A step is one call of `Engine.step`, one chunk of every stream: samples in, labels out, on the host's
clock. The modes take turns, step by step, on the same real recordings, so that a noisy machine disturbs all alike.
RTF is a step's median time over the audio of its chunks.
"""

import argparse
import json
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from asr.audio.files import read_blocks
from asr.model_folder import bundled_model, load_model
from asr.streaming.engine import Engine
from data.manifest import read_manifest

MODES = {"eager": 12, "graph": 60, "compiled": 200}  # steps of each: eager ones take long
SAMPLES = Path(__file__).parent.parent / "data" / "samples" / "manifest.jsonl"
WARM_UP = 3  # steps left out: tracing, compiling, first allocations


def sample_chunks(samples: int) -> NDArray[np.float32]:
    """The bundled recordings in chunks: [n, samples]."""
    audio = np.concatenate([b for u in read_manifest(SAMPLES) for b in read_blocks(u.audio)])
    return audio[: len(audio) // samples * samples].reshape(-1, samples)


def time_modes(folder: Path, chunk_ms: int, rows: int) -> dict[str, list[float]]:
    """Seconds of each step by mode, for `rows` streams that all have a chunk."""
    model, _ = load_model(folder)
    engines = {mode: Engine(model, chunk_ms, rows, mode) for mode in MODES}
    states = {mode: engine.initial_state() for mode, engine in engines.items()}
    chunks = sample_chunks(engines["eager"].samples)
    valid = np.full(rows, engines["eager"].frames, np.int32)
    none = np.zeros(rows, bool)
    seconds: dict[str, list[float]] = {mode: [] for mode in MODES}
    for i in range(max(MODES.values()) + WARM_UP):
        samples = np.stack([chunks[(i + 7 * row) % len(chunks)] for row in range(rows)])
        for mode, engine in engines.items():
            if i >= MODES[mode] + WARM_UP:
                continue
            started = time.perf_counter()
            states[mode], _ = engine.step(states[mode], samples, valid, none)
            if i >= WARM_UP:
                seconds[mode].append(time.perf_counter() - started)
    return seconds


def figures(seconds: Sequence[float], audio_ms: int) -> dict[str, float]:
    """Median, 99th percentile and RTF of step times."""
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return {"p50_ms": round(float(p50), 2), "p99_ms": round(float(p99), 2), "rtf": round(float(p50) / audio_ms, 5)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one table; with --json, writes the same figures."""
    parser = argparse.ArgumentParser(description="Time the compiled step against the uncompiled one.")
    parser.add_argument("--model", type=Path, default=bundled_model())
    parser.add_argument("--chunk-ms", type=int, nargs="+", default=[320, 640])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    results: list[dict[str, Any]] = []
    table = Table("chunk", "streams", "mode", "p50 ms", "p99 ms", "RTF of a stream", "against compiled")
    for chunk_ms in options.chunk_ms:
        for rows in options.streams:
            timed = time_modes(options.model, chunk_ms, rows)
            fastest = float(np.median(timed["compiled"]))
            for mode, seconds in timed.items():
                row = figures(seconds, chunk_ms * rows)
                ratio = float(np.median(seconds)) / fastest
                results.append({"chunk_ms": chunk_ms, "streams": rows, "mode": mode, **row, "ratio": round(ratio, 2)})
                values = (chunk_ms, rows, mode, row["p50_ms"], row["p99_ms"], row["rtf"], f"{ratio:.2f} x")
                table.add_row(*(str(v) for v in values))
    Console().print(table)
    if options.json:
        about = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        options.json.write_text(json.dumps({**about, "steps": results}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
