"""A model as it is shipped: a folder of weights in half precision, configuration and tokenizer."""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asr.config import ModelConfig, from_dict
from asr.decoding.words import WordRule
from asr.engine_kind import MAX_BEAM, PHONETIC
from asr.errors import CheckpointError, ConfigError
from asr.language.config import PhoneticWeights
from asr.tokenizer import Tokenizer, read_tokenizer

if TYPE_CHECKING:
    from asr.transducer.model import Transducer

FORMAT = 1  # version of the folder's layout
WORD_RULES = ("words", "phonetic_words")  # in config.json: of the transducer's searches, and of the phonetic one


@dataclass(frozen=True)
class Decoding:
    """How a model is decoded unless told otherwise: `decoding` in its config.json.

    Attributes:
        beam: Hypotheses of the search; 1: greedy; 0: the phonetic search.
        ctc_weight: In a beam search, of the log-probability that the wordpiece CTC head gives each hypothesis.
        lm_weight: Of the folder's language model; None: as stored with it.
        ilm_weight: Of the transducer's own expectation, which is subtracted; None: as stored with the language model.
        label_bonus: Added for each label, with the language model; None: as stored with it.
        phonetic: Weights of the phonetic search.
    """

    beam: int = 1
    ctc_weight: float = 0.0
    lm_weight: float | None = None
    ilm_weight: float | None = None
    label_bonus: float | None = None
    phonetic: PhoneticWeights = field(default_factory=PhoneticWeights)

    def __post_init__(self) -> None:
        """Raises ConfigError for a beam or a weight that cannot be served."""
        if not PHONETIC <= self.beam <= MAX_BEAM:
            raise ConfigError(f"beam: expected {PHONETIC} to {MAX_BEAM}, got {self.beam}")
        for name in ("ctc_weight", "lm_weight", "ilm_weight", "label_bonus"):
            weight = getattr(self, name)
            if weight is not None and not 0.0 <= weight < float("inf"):
                raise ConfigError(f"{name}: expected a number of 0 or more, got {weight}")


def bundled_model() -> Path:
    """The model that comes with the package."""
    return Path(__file__).parent / "models" / "small"


def save_model(
    folder: Path, config: ModelConfig, tokenizer: Tokenizer, weights: dict[str, NDArray[Any]], about: dict[str, Any]
) -> None:
    """Writes a model folder; each file appears whole or not at all, the configuration last.

    Args:
        folder: Made if missing.
        config: Sizes.
        tokenizer: Wordpieces.
        weights: Variables by path, written as float16.
        about: What else to keep in the configuration: name, training, words, decoding.
    """
    from asr.training.checkpoint import save_arrays

    folder.mkdir(parents=True, exist_ok=True)
    half = {path: value.astype(np.float16) for path, value in weights.items()}
    save_arrays(folder / "weights.npz", half, {"format": FORMAT})
    write_whole(folder / "tokenizer.model", tokenizer.model)
    _write_config(folder, config, about)


def _write_config(folder: Path, config: ModelConfig, about: dict[str, Any]) -> None:
    rest = {name: value for name, value in about.items() if name not in ("format", "model")}
    values = {"format": FORMAT, "model": dataclasses.asdict(config), **rest}
    write_whole(folder / "config.json", (json.dumps(values, indent=1) + "\n").encode())


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file of a model folder, which appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)


def read_config(folder: Path) -> tuple[ModelConfig, dict[str, Any]]:
    """Sizes of a model folder, and the rest of its config.json.

    Raises:
        CheckpointError: if the file is missing, not JSON, of another format, or has unknown keys.
    """
    path = folder / "config.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}; expected a model folder") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: expected JSON: {error}") from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        found = values.get("format") if isinstance(values, dict) else values
        raise CheckpointError(f"{path}: expected model format {FORMAT}, got {found!r}")
    try:
        return from_dict(ModelConfig, values.pop("model", {})), values
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error


def load_model(folder: Path) -> tuple["Transducer", Tokenizer]:
    """Loads a model folder.

    Returns:
        The transducer, in float32, and its tokenizer.

    Raises:
        CheckpointError: if a file is missing or damaged, or the weights are of another configuration.
    """
    config, about = read_config(folder)
    if config.kind != "transducer":
        raise CheckpointError(
            f"{folder}: expected a transducer, got a model of kind {config.kind!r}, which cannot stream"
        )
    tokenizer = read_tokenizer(folder / "tokenizer.model")
    if len(tokenizer) != config.vocabulary:
        expected = config.vocabulary
        raise CheckpointError(f"{folder}: expected a tokenizer of {expected} wordpieces, got {len(tokenizer)}")
    from asr.training.checkpoint import assign_weights, load_arrays
    from asr.transducer.model import Transducer

    weights, _ = load_arrays(folder / "weights.npz")
    with _single_precision():
        model = Transducer(config)
    assign_weights(model.variables, weights, str(folder / "weights.npz"))
    model.word_rule, model.phonetic_rule = (_word_rule(folder, about, name) for name in WORD_RULES)
    return model, tokenizer


def _word_rule(folder: Path, about: dict[str, Any], name: str) -> WordRule:
    try:
        return from_dict(WordRule, about.get(name, {}))
    except ConfigError as error:
        raise CheckpointError(f"{folder / 'config.json'}: {name}: {error}") from error


def save_word_rule(folder: Path, rule: WordRule, phonetic: bool = False) -> None:
    """Writes how a model's labels become word times and confidences into its folder; raises as `read_config`.

    Args:
        folder: Model folder.
        rule: What to write.
        phonetic: Whether it is that of the phonetic search.
    """
    config, about = read_config(folder)
    _write_config(folder, config, about | {WORD_RULES[phonetic]: dataclasses.asdict(rule)})


def save_decoding(folder: Path, decoding: Mapping[str, Any]) -> list[str]:
    """Writes how a model is decoded, what its folder says already aside.

    Returns:
        Names of what was written.

    Raises:
        CheckpointError: as `read_config`.
    """
    config, about = read_config(folder)
    before = about.get("decoding", {})
    if not isinstance(before, dict):
        raise CheckpointError(f"{folder / 'config.json'}: decoding: expected a table, got {before!r}")
    _write_config(folder, config, about | {"decoding": {**decoding, **before}})
    return [name for name in decoding if name not in before]


def default_beam(folder: Path) -> int:
    """Hypotheses with which a model is decoded unless told otherwise; raises as `read_config`."""
    return decoding_of(folder).beam


def decoding_of(folder: Path) -> Decoding:
    """How a model is decoded unless told otherwise; raises as `read_config`."""
    _, about = read_config(folder)
    try:
        return from_dict(Decoding, about.get("decoding", {}))
    except ConfigError as error:
        raise CheckpointError(f"{folder / 'config.json'}: decoding: {error}") from error


@contextmanager
def _single_precision() -> Iterator[None]:
    """Layers made here compute in float32, also in a process that has trained with Keras's policy set otherwise."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
