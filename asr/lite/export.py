"""LiteRT programs of one chunk size and batch size, exported once and kept beside the compiled programs.

Three programs make a step: log-mel, which stays in float32 (its Fourier matrix in eight bits would drown quiet sounds),
the encoder with the joint's keys and values, and greedy decoding of a block; these two in float32 or with int8 weights.
Those are quantised by output channel, what they are multiplied with by row as it comes (dynamic range), so that rows
stay independent.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import numpy as np

from asr import program_cache
from asr.features import LEFT_SAMPLES, MEL_BINS, frontend
from asr.lite.decoding import UnrolledGreedy
from asr.lite.encoder import RingEncoder
from asr.transducer.model import Transducer

KEPT = "*.tflite"
LARGEST_BYTES = 1024 * 2**20  # of all programs; the oldest go first

logger = logging.getLogger(__name__)


class Precision(StrEnum):
    """Of the encoder's weights."""

    float32 = "float32"
    int8 = "int8"


def export_frontend(samples: int, rows: int, mean: Any, deviation: Any) -> bytes:
    """A LiteRT program: samples [B, n] and the tail before them [B, 240] -> normalised log-mel [B, n / 160, 80]."""
    mel = frontend.LogMelFrontend()

    def step(heard: Any, tail: Any) -> list[Any]:
        return [(mel.step(heard, tail)[0] - mean) / deviation]

    return _converted(step, [(rows, samples), (rows, LEFT_SAMPLES)], Precision.float32)


def export_encoder(ring: RingEncoder, frames: int, precision: Precision) -> bytes:
    """A LiteRT program of `RingEncoder.step`, its inputs and outputs in their order, for [B, frames, 80] log-mel."""
    return _converted(ring.step, [(ring.rows, frames, MEL_BINS), *ring.input_shapes()], precision)


def export_greedy(greedy: UnrolledGreedy, precision: Precision) -> bytes:
    """A LiteRT program of `UnrolledGreedy.step`, its inputs and outputs in their order."""
    return _converted(greedy.step, greedy.input_shapes(), precision)


def _converted(function: Callable[..., list[Any]], shapes: list[tuple[int, ...]], precision: Precision) -> bytes:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    inputs = [tf.TensorSpec(shape, tf.float32, f"in{i:03d}") for i, shape in enumerate(shapes)]  # sorted, in order
    traced = tf.function(function, autograph=False).get_concrete_function(*inputs)
    frozen = convert_variables_to_constants_v2(traced, lower_control_flow=False)
    with _no_advice():
        # Without the object that holds variables, as there are none left: with one, outputs are ordered anew, by name.
        converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
        converter.experimental_enable_resource_variables = False
        if precision is Precision.int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return bytes(converter.convert())


@contextmanager
def _no_advice() -> Iterator[None]:
    """The converter's notices say how else it could be called."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def fingerprint(model: Transducer) -> str:
    """A name for the weights, for what of the configuration no weight shows, and for our code that exports them."""
    digest = hashlib.sha256(f"{program_cache.code_digest()} {model.config}".encode())
    layers = [model.encoder, model.predictor, model.joint, model.pieces]
    if model.config.phonemes:
        layers += [model.phoneme_lower, model.phoneme_upper, model.phonemes]
    for weight in (weight for layer in layers for weight in layer.weights):
        value = np.ascontiguousarray(np.asarray(weight))
        digest.update(f"{value.dtype} {value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()[:32]


def kept(name: str, make: Callable[[], bytes], environment: Mapping[str, str] = os.environ) -> bytes:
    """The program of that name: from the cache, or else made and kept there; failing to keep it is harmless."""
    folder = program_cache.cache_folder(environment)
    if folder is None:
        return make()
    try:
        cache = program_cache.SealedFolder(folder.parent / "litert", KEPT, LARGEST_BYTES)
    except OSError as error:
        logger.warning("exported programs are not kept: %s", error)
        return make()
    file = f"{name}.tflite"
    content = cache.read(file)
    if content is None:
        content = make()
        if cache.writable:
            try:
                cache.keep(file, content)
            except OSError as error:
                logger.warning("an exported program is not kept: %s", error)
    return content
