"""`asr export`: a training run's averaged weights as a model folder."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.config import ModelConfig, from_dict
from asr.errors import CheckpointError
from asr.model_folder import read_config, save_model
from asr.tokenizer import read_tokenizer
from asr.training.checkpoint import checkpoint_path, checkpoint_steps, load_arrays, part
from asr.transducer.model import TEACHER_HEAD


def average_checkpoints(paths: Sequence[Path]) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Mean of the moving averages of several checkpoints of one run.

    Returns:
        Weights by path, float32, and the newest checkpoint's description.

    Raises:
        CheckpointError: if a checkpoint cannot be read, or the checkpoints are of different configurations.
    """
    sums: dict[str, NDArray[Any]] = {}
    meta: dict[str, Any] = {}
    for path in paths:
        arrays, found = load_arrays(path)
        if meta and from_dict(ModelConfig, found["model"]) != from_dict(ModelConfig, meta["model"]):
            raise CheckpointError(f"{path}: expected the same model configuration as {paths[0]}")
        meta = found
        for name, value in (part(arrays, "weights") | part(arrays, "average")).items():
            if name.startswith(f"{TEACHER_HEAD}/"):
                continue
            sums[name] = sums.get(name, 0.0) + value.astype(np.float64) / len(paths)
    return {name: value.astype(np.float32) for name, value in sums.items()}, meta


def export_run(run: Path, output: Path, average: int = 1) -> None:
    """Writes a model folder from a run. Over an older model it keeps what that says of its decoding.

    Args:
        run: Folder of a training run.
        output: Model folder; made if missing.
        average: Newest checkpoints to average.

    Raises:
        CheckpointError: if the run has fewer checkpoints, or one cannot be read.
    """
    steps = checkpoint_steps(run)
    if len(steps) < average:
        raise CheckpointError(f"{run}: expected {average} checkpoints, found {len(steps)}")
    weights, meta = average_checkpoints([checkpoint_path(run, step) for step in steps[-average:]])
    about = {"name": output.name, "step": meta["step"], "hours_heard": round(meta["audio_seconds"] / 3600, 1)}
    if "phonemes" in meta:  # what the numbers of the phoneme head stand for
        about["phonemes"] = meta["phonemes"]
    if (output / "config.json").is_file():
        about |= {name: value for name, value in read_config(output)[1].items() if name == "decoding"}
    config = from_dict(ModelConfig, meta["model"])
    save_model(output, config, read_tokenizer(run / "tokenizer.model"), weights, about)
