"""`make bench-attention`: what each mechanism of the block joint costs, and each of the encoder.

Definitions. A block is 640 ms of each stream: its 8 encoder frames become keys and values, then four symbols are scored
(three labels and the end, as in speech of usual pace), each attending to 16 frames. Compiled, in float32, with random
weights in the sizes of the configuration; the mechanisms take turns, so that a noisy machine disturbs all alike. The
time is the median by block and stream. Weights are those of the joint, the mechanism's included. For the encoder, a
step is 640 ms of each stream, log-mel to encoder frames, behind a full window; weights are the encoder's.
"""

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops, tree
from rich.console import Console
from rich.table import Table

from asr.config import BLOCK_ATTENTIONS, ENCODER_ATTENTIONS, ModelConfig, read_toml
from asr.encoder.encoder import FRAMES_PER_STEP, Encoder
from asr.features import MEL_BINS
from asr.streaming.engine import compiled
from asr.training.config import TrainConfig
from asr.transducer.joint import MAX_BLOCK, BlockJoint

CONFIG = Path(__file__).parent / "configs" / "attention.toml"
SYMBOLS = 4
WARM_UP = 3


def block_function(joint: BlockJoint) -> Callable[..., Any]:
    """Scores `SYMBOLS` symbols of a block: frames [B, 8, D], window [B, lookback, 2J], states [4, B, P] -> [4, B]."""

    def score(encoded: Any, window: Any, states: Any) -> Any:
        frames = ops.concatenate([window, joint.frames(encoded)], axis=1)
        mask = ops.ones(frames.shape[:2], "bool")
        best = []
        for k in range(SYMBOLS):
            context, _ = joint.listen(states[k], frames, mask)
            best.append(ops.argmax(joint.score(states[k], context), axis=-1))
        return ops.stack(best)

    return compiled(score, "compiled")


def time_mechanisms(config: ModelConfig, streams: int, rounds: int) -> dict[str, tuple[float, int]]:
    """By mechanism, microseconds by block and stream, and the joint's weights."""
    rng = np.random.default_rng(0)
    shapes = (
        (streams, MAX_BLOCK, config.dim),
        (streams, config.lookback_frames, 2 * config.joint_dim),
        (SYMBOLS, streams, config.predictor_dim),
    )
    inputs = [ops.convert_to_tensor(rng.normal(size=shape).astype(np.float32)) for shape in shapes]
    functions: dict[str, Callable[[], Any]] = {}
    counts = {}
    for name in BLOCK_ATTENTIONS:
        joint = BlockJoint(replace(config, attention=name))
        joint.build((None, None, config.dim))
        functions[name], counts[name] = partial(block_function(joint), *inputs), joint.count_params()
    seconds = _median_seconds(functions, rounds)
    return {name: (1e6 * seconds[name] / streams, counts[name]) for name in functions}


def time_encoders(config: ModelConfig, streams: int, rounds: int) -> dict[str, tuple[float, int]]:
    """By the encoder's attention, microseconds by step of 640 ms and stream, and the encoder's weights."""
    frames = np.random.default_rng(0).normal(size=(streams, MAX_BLOCK * FRAMES_PER_STEP, MEL_BINS)).astype(np.float32)
    functions: dict[str, Callable[[], Any]] = {}
    counts = {}
    for name in ENCODER_ATTENTIONS:
        encoder = Encoder(replace(config, encoder_attention=name))
        encoder.build((None, None, MEL_BINS))
        state = encoder.initial_state(streams) | {"seen": ops.full((streams,), config.left_frames, "int32")}
        functions[name] = partial(compiled(encoder.step, "compiled"), ops.convert_to_tensor(frames), state)
        counts[name] = encoder.count_params()
    seconds = _median_seconds(functions, rounds)
    return {name: (1e6 * seconds[name] / streams, counts[name]) for name in functions}


def _median_seconds(functions: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Of each function; they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for i in range(rounds + WARM_UP):
        for name, function in functions.items():
            started = time.perf_counter()
            tree.map_structure(np.asarray, function())
            if i >= WARM_UP:
                seconds[name].append(time.perf_counter() - started)
    return {name: float(np.median(times)) for name, times in seconds.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints two tables; with --json, writes the same figures."""
    parser = argparse.ArgumentParser(description="Time the mechanisms of joint and encoder against each other.")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    config = read_toml(TrainConfig, CONFIG).model
    rows: list[dict[str, Any]] = []
    for part, measure in (("joint", time_mechanisms), ("encoder", time_encoders)):
        timed = {streams: measure(config, streams, options.rounds) for streams in options.streams}
        table = Table(f"attention of the {part}", "weights", *(f"µs a block, {streams} streams" for streams in timed))
        for name, (_, count) in next(iter(timed.values())).items():
            table.add_row(name, f"{count:,}", *(f"{found[name][0]:.1f}" for found in timed.values()))
        Console().print(table)
        rows += [
            {"part": part, "attention": name, "streams": streams, "us": round(us, 2), "weights": count}
            for streams, found in timed.items()
            for name, (us, count) in found.items()
        ]
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
