"""Checkpoints of a run: everything that training needs to go on exactly where it stopped, written atomically."""

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import CheckpointError
from asr.training.seeds import is_seed


def save_arrays(path: Path, arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> None:
    """Writes named arrays and a JSON-able description to one .npz file; a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, **arrays, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_arrays(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Reads what `save_arrays` wrote.

    Raises:
        CheckpointError: if the file is missing, damaged or something else.
    """
    try:
        with path.open("rb") as raw, np.load(raw) as file:  # opened here: numpy leaves a damaged file open
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(arrays.pop("meta").tobytes())
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, EOFError) as error:
        raise CheckpointError(f"{path}: expected a checkpoint, got a damaged or other file") from error


def weights_of(variables: Sequence[Any]) -> dict[str, NDArray[Any]]:
    """Values of Keras variables by their path, float32."""
    return {v.path: np.asarray(v.value) for v in variables if not is_seed(v)}


def assign_weights(variables: Sequence[Any], weights: Mapping[str, NDArray[Any]], where: str) -> None:
    """Sets Keras variables from arrays by path.

    Raises:
        CheckpointError: naming the first variable that is missing or of another shape.
    """
    wanted = [v for v in variables if not is_seed(v)]
    for variable in wanted:
        if variable.path not in weights:
            raise CheckpointError(f"{where}: no weights for {variable.path}: it is of another configuration")
        found = weights[variable.path].shape
        if tuple(found) != tuple(variable.shape):
            expected = list(variable.shape)
            raise CheckpointError(f"{where}: {variable.path}: expected shape {expected}, got {list(found)}")
    for variable in wanted:
        variable.assign(weights[variable.path].astype(np.float32))


def part(arrays: Mapping[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    """Arrays of one part of a checkpoint ("weights" or a slot of the optimiser), by variable path."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def checkpoint_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a run's folder, in order."""
    return sorted(int(p.stem.removeprefix("step-")) for p in folder.glob("step-*.npz"))


def checkpoint_path(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:07d}.npz"


def prune(folder: Path, kept: int) -> None:
    """Deletes all but the newest `kept` checkpoints, and what a kill left of unfinished ones."""
    for step in checkpoint_steps(folder)[: -max(1, kept)]:
        checkpoint_path(folder, step).unlink()
    for unfinished in folder.glob(".step-*.tmp"):
        unfinished.unlink()
