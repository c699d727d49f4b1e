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
from asr.training.spelling import Spelling
from asr.transducer.model import Transducer

AnyModel = Transducer | EncoderDecoder


def make_model(config: ModelConfig, encoder: type[Encoder] = Encoder, teacher_width: int = 0) -> AnyModel:
    """An untrained model of `config.kind`, with an encoder of this class; a transducer with a teacher of this width."""
    if config.kind == "encoder_decoder":
        return EncoderDecoder(config, encoder)
    return Transducer(config, encoder, teacher_width)


def make_decoder(
    model: AnyModel, tokenizer: Tokenizer, spelling: Spelling
) -> Callable[[NDArray[np.float32], NDArray[np.int32]], list[dict[str, str]]]:
    """What decodes batches of whole recordings with a model: their texts, by head."""
    if isinstance(model, EncoderDecoder):
        return GlobalDecoder(model, tokenizer)
    return DevDecoder(model, tokenizer, spelling=spelling)
