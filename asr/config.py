"""Configuration: frozen dataclasses, checked when made, read from TOML; an unknown key is an error."""

import dataclasses
import math
import tomllib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from asr.errors import ConfigError

T = TypeVar("T")

# What the block joint may attend by (asr.transducer.mechanisms), and the encoder (asr.attention.windowed and
# windowed_area).
BLOCK_ATTENTIONS = (
    "multi_head",
    "additive",
    "dot",
    "general",
    "scaled_dot",
    "local_m",
    "local_p",
    "monotonic",
    "mocha",
    "area",
)
ENCODER_ATTENTIONS = ("windowed", "area")
KINDS = ("transducer", "encoder_decoder")


def _positive(config: Any, *names: str) -> None:
    for name in names:
        if getattr(config, name) <= 0:
            raise ConfigError(f"{name}: expected a number above 0, got {getattr(config, name)}")


def _not_negative(config: Any, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 0:
            raise ConfigError(f"{name}: expected 0 or more, got {getattr(config, name)}")


def _fraction(config: Any, *names: str) -> None:
    for name in names:
        if not 0.0 <= getattr(config, name) < 1.0:
            raise ConfigError(f"{name}: expected a number in [0, 1), got {getattr(config, name)}")


def _one_of(config: Any, name: str, known: tuple[str, ...]) -> None:
    if getattr(config, name) not in known:
        raise ConfigError(f"{name}: expected one of {', '.join(known)}, got {getattr(config, name)!r}")


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of the model.

    Attributes:
        kind: "transducer", or "encoder_decoder": the offline baseline (asr.encoder_decoder), whose decoder takes its
            sizes from predictor_dim and joint_dim.
        dim: D, width of the encoder.
        heads: H, attention heads, in the encoder and in the block joint.
        lower_layers: Conformer layers at 40 ms.
        upper_layers: Conformer layers at 80 ms.
        feed_forward: Hidden width of each of a layer's two feed-forwards, as a multiple of `dim`.
        kernel: Frames of the causal depthwise convolution.
        channels: Channels of the subsampling convolutions.
        left_frames: Left window of self-attention, in encoder frames of 80 ms.
        lookahead_frames: R, encoder frames after its chunk that self-attention sees, and that each step waits for.
        lookback_frames: Window before the block that the joint attends to, in encoder frames.
        predictor_dim: Width of the label embedding and of the recurrent predictor.
        joint_dim: Width of the joint's hidden layer.
        vocabulary: V, wordpieces.
        characters: Symbols of the character CTC head, without its blank.
        phonemes: P, symbols of the phoneme CTC head at 40 ms, without its blank; 0: there is no such head.
        context_feedback: Whether the predictor also sees the context each label was emitted with, as in the original
            paper; such a model is trained with the objective "viterbi" only.
        attention: How the block joint attends: one of `BLOCK_ATTENTIONS`.
        encoder_attention: How the encoder attends: one of `ENCODER_ATTENTIONS`.
        attention_radius: D, frames on each side of the place that local_m and local_p look at.
        attention_chunk: w, frames of MoChA's chunk.
        attention_span: A, frames of the largest area.
        dropout: Rate on the channels of the encoder's branches, in training.
        drop_path: Rate at which the last layer's branches are skipped, in training; lower layers less, linearly.
        label_dropout: Rate on the predictor's label embedding, in training.
        label_noise: Share of the predictor's labels that are replaced by random ones, in training.
    """

    kind: str = "transducer"
    dim: int = 256
    heads: int = 4
    lower_layers: int = 3
    upper_layers: int = 6
    feed_forward: int = 2
    kernel: int = 7
    channels: int = 32
    left_frames: int = 40
    lookahead_frames: int = 0
    lookback_frames: int = 8
    predictor_dim: int = 384
    joint_dim: int = 256
    vocabulary: int = 256
    characters: int = 28
    phonemes: int = 0
    context_feedback: bool = False
    attention: str = "multi_head"
    encoder_attention: str = "windowed"
    attention_radius: int = 6
    attention_chunk: int = 4
    attention_span: int = 4
    dropout: float = 0.0
    drop_path: float = 0.0
    label_dropout: float = 0.2
    label_noise: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        may_be_none = ("lookahead_frames", "phonemes")
        _positive(self, *(f.name for f in dataclasses.fields(self) if f.type is int and f.name not in may_be_none))
        _not_negative(self, *may_be_none)
        _fraction(self, "dropout", "drop_path", "label_dropout", "label_noise")
        if self.dim % (2 * self.heads):
            raise ConfigError(f"dim: expected a multiple of 2 x heads = {2 * self.heads}, got {self.dim}")
        if self.joint_dim % self.heads:
            raise ConfigError(f"joint_dim: expected a multiple of heads = {self.heads}, got {self.joint_dim}")
        _one_of(self, "kind", KINDS)
        _one_of(self, "attention", BLOCK_ATTENTIONS)
        _one_of(self, "encoder_attention", ENCODER_ATTENTIONS)
        if self.lookahead_frames and self.encoder_attention == "area":
            raise ConfigError(f"lookahead_frames: expected 0 with areas in the encoder, got {self.lookahead_frames}")
        if self.attention == "dot" and self.predictor_dim != self.joint_dim:
            expected = f"joint_dim = {self.joint_dim}, for dot attention compares the two"
            raise ConfigError(f"predictor_dim: expected {expected}, got {self.predictor_dim}")


def from_dict(cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """Makes a config dataclass from nested dictionaries.

    Raises:
        ConfigError: naming the key, what was expected and what came.
    """
    if not isinstance(values, dict):  # of a file: anything
        raise ConfigError(f"{where.rstrip('.') or 'config'}: expected a table, got {values!r}")
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(f"unknown key {where}{key}; known here: {', '.join(sorted(known))}")
    try:
        return cls(**{key: _convert(hints[key], value, f"{where}{key}") for key, value in values.items()})
    except TypeError as error:
        raise ConfigError(f"{where or 'config'}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_dict(typing.cast(type, hint), value, f"{where}.")
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: expected an array, got {value!r}")
        return tuple(_convert(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _convert(next(a for a in arguments if a is not type(None)), value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}: expected {hint.__name__}, got {value!r}")
    if hint is float and not math.isfinite(value):
        raise ConfigError(f"{where}: expected a finite number, got {value}")
    return value


def read_toml(cls: type[T], path: Path, settings: Sequence[str] = ()) -> T:
    """Reads a config dataclass from a TOML file.

    Args:
        cls: The dataclass.
        path: The file.
        settings: "table.key=value" each, set over what the file says; a value that is no TOML is a string.

    Raises:
        ConfigError: naming the file and the key or line.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML: {error}") from error
    for setting in settings:
        _set(values, setting)
    try:
        return from_dict(cls, values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _set(values: dict[str, Any], setting: str) -> None:
    """Sets the key of one "table.key=value" in nested dictionaries."""
    key, equals, text = setting.partition("=")
    *tables, name = key.strip().split(".")
    if not equals or not name:
        raise ConfigError(f"expected a setting like schedule.steps=100, got {setting!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{key.strip()}: expected {table} to be a table, got {values!r}")
    values[name] = value
