"""`make bench-train`: the training step, and the block lattice against a frame-level one on the same encoder.

Definitions. The step is that of `asr/configs/small.toml` on one batch of random log-mel and labels of the shapes that
training sees (12 characters and 4 wordpieces a second): forward, backward and update; its rate is the batch's audio,
padding included, by the median time. The lattices score the same encoder frames and labels with the same output layer
and sum over all alignments, forward and gradient by encoder frames and by the joint's weights: the block joint as it
is, and a joint that has a state for every 80 ms frame and number of labels, as a recurrent neural transducer has
(Graves 2012, 1211.3711), whose context is the frame's value. Memory is the growth of a process of its own to its peak.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from asr.config import ModelConfig, from_dict
from asr.features import FRAMES_PER_SECOND, MEL_BINS
from asr.objectives.lattice import block_lattice_loss
from asr.training.config import TrainConfig
from asr.transducer.joint import MAX_BLOCK
from asr.transducer.model import Transducer

ROOT = Path(__file__).parents[2]
ROWS, SECONDS, PIECES_PER_S, CHARACTERS_PER_S = 8, 10.24, 4, 12
LATTICES = ("block", "frame")


def random_batch(config: ModelConfig, rows: int, seconds: float) -> dict[str, Any]:
    """A batch of full rows."""
    rng = np.random.default_rng(0)
    frames = round(seconds * FRAMES_PER_SECOND)
    pieces, characters = round(seconds * PIECES_PER_S), round(seconds * CHARACTERS_PER_S)
    return {
        "frames": rng.normal(-6.0, 3.0, (rows, frames, MEL_BINS)).astype(np.float32),
        "frame_lengths": np.full(rows, frames, np.int32),
        "characters": rng.integers(0, config.characters, (rows, characters)).astype(np.int32),
        "character_lengths": np.full(rows, characters, np.int32),
        "pieces": rng.integers(0, config.vocabulary, (rows, pieces)).astype(np.int32),
        "piece_lengths": np.full(rows, pieces, np.int32),
        "piece_places": np.tile(np.linspace(0, 1, pieces, dtype=np.float32), (rows, 1)),
    }


def step_rate(seconds: float) -> dict[str, float]:
    """The small configuration's training step: seconds of audio a second, and seconds a step."""
    from asr.training.step_tensorflow import TensorFlowStep

    values = tomllib.loads((ROOT / "asr" / "configs" / "small.toml").read_text(encoding="utf-8"))
    config = from_dict(TrainConfig, values)
    if config.schedule.mixed_precision:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = Transducer(config.model)
    step = TensorFlowStep(model, config)
    batch = {name: ops.convert_to_tensor(value) for name, value in random_batch(config.model, ROWS, SECONDS).items()}
    times: list[float] = []
    for n in range(1000):
        started = time.perf_counter()
        step(batch, MAX_BLOCK, MAX_BLOCK, n, 1e-4, 0.0)
        times.append(time.perf_counter() - started)
        if n >= 5 and sum(times[2:]) > seconds:
            break
    median = statistics.median(times[2:])
    return {"audio_s_per_s": round(ROWS * SECONDS / median, 1), "step_s": round(median, 4)}


def lattice(kind: str, seconds: float = 3.0) -> dict[str, float]:
    """Loss and gradient of one of the lattices: seconds, and growth of this process to its peak, in MiB."""
    import tensorflow as tf

    model = Transducer(ModelConfig())
    batch = random_batch(model.config, ROWS, SECONDS)
    frames = batch["frames"].shape[1] // 8
    encoded = tf.random.normal((ROWS, frames, model.config.dim), seed=1)
    labels = tf.constant(batch["pieces"])
    states = model.predictor(labels)
    score = {"block": _block_arcs, "frame": _frame_arcs}[kind]
    weights = [v.value for v in model.joint.trainable_variables]

    @tf.function(autograph=False)
    def run() -> Any:
        with tf.GradientTape() as tape:
            tape.watch(encoded)
            label, end = score(model, encoded, states, labels)
            counts = tf.fill((ROWS,), label.shape[1])
            loss = tf.reduce_sum(block_lattice_loss(label, end, counts, tf.fill((ROWS,), labels.shape[1])))
        return tape.gradient(loss, [encoded, *weights], unconnected_gradients="zero")[0]

    before = _peak_mib()
    run()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        started = time.perf_counter()
        run().numpy()
        times.append(time.perf_counter() - started)
    return {"seconds": round(statistics.median(times), 4), "mib": round(_peak_mib() - before, 1)}


def _block_arcs(model: Transducer, encoded: Any, states: Any, labels: Any) -> tuple[Any, Any]:
    return model.joint(encoded, states, labels, block=MAX_BLOCK)


def _frame_arcs(model: Transducer, encoded: Any, states: Any, labels: Any) -> tuple[Any, Any]:
    values = model.joint.frames(encoded)[..., model.config.joint_dim :]
    return model.joint.arcs(states, values[:, :, None], ops.pad(labels, ((0, 0), (0, 1))))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _apart(part: str, seconds: float) -> dict[str, float]:
    """A part in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.training", "--part", part, "--seconds", str(seconds)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints JSON: all parts and the ratios of the lattices, or one part."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.training", description=__doc__)
    parser.add_argument("--part", choices=("step", *LATTICES))
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args(arguments)
    parts: dict[str, Callable[[], dict[str, float]]] = {"step": lambda: step_rate(options.seconds)}
    parts |= {kind: lambda kind=kind: lattice(kind) for kind in LATTICES}  # type: ignore[misc]
    if options.part:
        print(json.dumps(parts[options.part]()))
        return
    found = {part: _apart(part, options.seconds) for part in parts}
    ratios = {
        f"frame / block, {name}": round(found["frame"][name] / found["block"][name], 2) for name in found["block"]
    }
    print(json.dumps({**found, **ratios}, indent=1))


if __name__ == "__main__":
    main()
