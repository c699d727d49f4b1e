"""The kinds of model that `asr train` trains, and what decodes their dev splits."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from asr.config import ModelConfig
from asr.encoder.encoder import Encoder
from asr.encoder_decoder.model import EncoderDecoder
from asr.encoder_decoder.search import GlobalDecoder
from asr.tokenizer import Tokenizer
from asr.training.dev import DevDecoder
from asr.training.pronunciations import Pronunciations
from asr.transducer.model import Transducer

AnyModel = Transducer | EncoderDecoder


def make_model(
    config: ModelConfig,
    encoder: type[Encoder] = Encoder,
    teacher_width: int = 0,
    bigram: NDArray[np.float32] | None = None,
) -> AnyModel:
    """An untrained model of `config.kind`, with an encoder of this class; the rest as a `Transducer` takes it."""
    if config.kind == "encoder_decoder":
        return EncoderDecoder(config, encoder)
    return Transducer(config, encoder, teacher_width, bigram)


def make_decoder(
    model: AnyModel, tokenizer: Tokenizer, pronunciations: Pronunciations | None
) -> Callable[[NDArray[np.float32], NDArray[np.int32]], list[dict[str, str]]]:
    """What decodes batches of whole recordings with a model: their texts, by head."""
    if isinstance(model, EncoderDecoder):
        return GlobalDecoder(model, tokenizer)
    return DevDecoder(model, tokenizer, pronunciations=pronunciations)
