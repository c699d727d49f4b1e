"""A language model's training: `asr train-lm CONFIG`. It stops anywhere and resumes there."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from asr.errors import CheckpointError
from asr.language.config import FusionWeights, LanguageTrainConfig
from asr.language.corpus import encode_texts, read_texts, with_start
from asr.language.files import NAME, save_language, tokenizer_hash
from asr.language.model import RecurrentLanguageModel
from asr.language.text_trainer import TextTrainer, adam
from asr.tokenizer import read_tokenizer


class _Trained(keras.Model):
    """The language model with Keras's training step around it."""

    def __init__(self, language: RecurrentLanguageModel) -> None:
        super().__init__(name="trained")
        self.language = language

    def call(self, inputs: Any) -> Any:
        return self.language(inputs)


class LanguageTrainer(TextTrainer):
    """Trains a recurrent language model over wordpieces.

    Args:
        config: What to train.
        base: Folder that the config's paths are relative to.
        run: Folder of checkpoints and of the finished `language.npz`; made if missing.

    Raises:
        ConfigError: if a text cannot be read or does not fit the configuration.
        CheckpointError: if the tokenizer or the newest checkpoint cannot be read, or is of another configuration.
    """

    def __init__(self, config: LanguageTrainConfig, base: Path, run: Path) -> None:
        """Reads the texts, makes the model and loads the newest checkpoint, if there is one."""
        self.config = config
        self.tokenizer = read_tokenizer(base / config.tokenizer)
        if len(self.tokenizer) != config.model.vocabulary:
            expected = config.model.vocabulary
            raise CheckpointError(f"expected a tokenizer of {expected} wordpieces, got {len(self.tokenizer)}")
        corpus = encode_texts(config, read_texts(config, base), self.tokenizer)
        keras.utils.set_random_seed(config.seed)
        self.language = RecurrentLanguageModel(config.model, dtype="mixed_bfloat16")
        self._model = _Trained(self.language)
        optimiser = adam(config)
        optimiser.build(self._model.trainable_variables)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
        # Matrix products in bfloat16 are slow in XLA on CPUs; what lies between them is compiled all the same.
        self._model.compile(optimiser, loss, jit_compile=keras.backend.backend() == "jax")
        super().__init__(config, run, corpus, self.language, optimiser, ("tokenizer", tokenizer_hash(self.tokenizer)))

    def train_step(self, targets: NDArray[np.int16]) -> float:
        """See `TextTrainer`."""
        start = self.corpus.start
        known = targets != start
        labels = np.where(known, targets, 0).astype(np.int32)
        return float(self._model.train_on_batch(with_start(targets, start), labels, known.astype(np.float32)))

    def evaluate(self) -> dict[str, float]:
        """Of the held-out sentences: nats per piece and per word, and perplexity per word."""
        corpus, total, pieces = self.corpus, 0.0, 0
        for targets in corpus.held_out_rows(self.config.rows):
            log_probs = keras.ops.log_softmax(self.language(with_start(targets, corpus.start)), axis=-1)
            known = targets != corpus.start
            chosen = np.where(known, targets, 0)[..., None].astype(np.int64)
            total -= float(np.take_along_axis(np.asarray(log_probs), chosen, axis=-1)[..., 0][known].sum())
            pieces += int(known.sum())
        per_word = total / corpus.held_out_words
        return {"nats_per_piece": total / pieces, "nats_per_word": per_word, "word_perplexity": math.exp(per_word)}

    def write(self, weights: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> None:
        """See `TextTrainer`."""
        save_language(self.run / NAME, self.config.model, self.tokenizer, weights, FusionWeights(), about)
