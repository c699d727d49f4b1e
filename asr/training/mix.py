"""`asr mix`: models that started from one another, as one model: the weighted mean of their weights.

Wortsman et al. 2022 (2203.05482, "Model soups"): fine-tuned from one model, others lie in one valley with it, and their
mean often errs less than the best of them. A part that has grown together with another, as a joint with its encoder,
can do worse as a mean; it may be taken from the first model alone.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asr.config import ModelConfig
from asr.errors import CheckpointError
from asr.model_folder import read_config, save_model, write_whole
from asr.tokenizer import read_tokenizer
from asr.training.checkpoint import load_arrays

TRAINING_ONLY = ("dropout", "drop_path", "label_dropout", "label_noise")
SIZES_OF_PARTS = {  # that others need not share, if the part is the first model's
    "joint": ("attention", "attention_radius", "attention_chunk"),
    "characters": ("characters",),
    "phoneme": ("phonemes",),  # all layers of that head
}


def mix_models(folders: Sequence[Path], output: Path, shares: Sequence[float], first_only: Sequence[str] = ()) -> None:
    """Writes the mean of several models as a model folder.

    Args:
        folders: Model folders; configuration, tokenizer, the files of words and their notice are the first's.
        output: Model folder; made if missing.
        shares: Of each model; they are scaled to sum to one.
        first_only: Parts that are taken from the first model alone: beginnings of the weights' paths, as "joint".

    Raises:
        CheckpointError: if a folder cannot be read, the models differ in more than rates of training, or a part does
            not exist.
        ValueError: for shares that are not one number above 0 for each model.
    """
    if len(shares) != len(folders) or not all(np.isfinite(share) and share > 0 for share in shares):
        given = ", ".join(map(str, shares))
        raise ValueError(f"shares: expected a number above 0 for each of {len(folders)} models, got {given}")
    config, about = read_config(folders[0])
    tokenizer = read_tokenizer(folders[0] / "tokenizer.model")
    first, _ = load_arrays(folders[0] / "weights.npz")
    for name in first_only:
        if not any(path.startswith(name) for path in first):
            parts = sorted({path.partition("/")[0] for path in first})
            raise CheckpointError(f"{folders[0]}: expected a part of the model ({', '.join(parts)}), got {name!r}")
    mixed = {path: value.astype(np.float64) for path, value in first.items()}
    taken = {path for path in mixed if path.startswith(tuple(first_only))}
    free = tuple(size for part in first_only for size in SIZES_OF_PARTS.get(part, ()))
    total = shares[0]
    for folder, share in zip(folders[1:], shares[1:], strict=True):
        _check_alike(config, read_config(folder)[0], folder, folders[0], free)
        if read_tokenizer(folder / "tokenizer.model").texts != tokenizer.texts:
            raise CheckpointError(f"{folder}: expected the same wordpieces as {folders[0]}")
        if "phonemes" not in free and read_config(folder)[1].get("phonemes") != about.get("phonemes"):
            raise CheckpointError(f"{folder}: expected the same phonemes as {folders[0]}")
        weights, _ = load_arrays(folder / "weights.npz")
        total += share
        for path in mixed.keys() - taken:
            if path not in weights or weights[path].shape != mixed[path].shape:
                raise CheckpointError(f"{folder}: expected {path} of shape {mixed[path].shape}, as {folders[0]} has it")
            mixed[path] += (weights[path] - mixed[path]) * (share / total)
    names = [folder.name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    about["mixed"] = dict(zip(names, shares, strict=True))
    save_model(output, config, tokenizer, mixed, about | {"name": output.name})
    if output.resolve() == folders[0].resolve():
        return
    for file in sorted(folders[0].iterdir()):  # the model decodes with them
        if file.name == "NOTICE" or (file.suffix == ".npz" and file.name != "weights.npz"):
            write_whole(output / file.name, file.read_bytes())


def _check_alike(
    wanted: ModelConfig, found: ModelConfig, folder: Path, first: Path, free: tuple[str, ...] = ()
) -> None:
    """Raises CheckpointError if two models differ in more than rates of training and the sizes that are `free`."""
    a, b = dataclasses.asdict(wanted), dataclasses.asdict(found)
    different = [name for name in a if name not in (*TRAINING_ONLY, *free) and a[name] != b[name]]
    if different:
        told = ", ".join(f"{name} = {b[name]!r} where {first} has {a[name]!r}" for name in different)
        raise CheckpointError(f"{folder}: expected a model like {first}, got {told}")
