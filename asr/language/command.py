"""`asr train-lm` and `asr train-next-words`: read the configuration, train, and stop in good order when told to."""

import logging
import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from asr.config import read_toml
from asr.language.config import LanguageTrainConfig, NextWordTrainConfig

if TYPE_CHECKING:
    from asr.language.text_trainer import TextTrainer

log = logging.getLogger(__name__)


def train_language_command(config: Path, run: Path, until_minutes: float | None) -> None:
    """Trains a language model, or goes on where the run stopped.

    SIGTERM and Ctrl-C end the run after the current step, with a checkpoint.

    Args:
        config: TOML file of a `LanguageTrainConfig`.
        run: Folder of checkpoints and of `language.npz`.
        until_minutes: Stop, resumable, after this time; None: at the last step.

    Raises:
        ConfigError: naming the key or the text that is wrong.
        CheckpointError: if the tokenizer or the newest checkpoint does not fit.
    """
    settings = read_toml(LanguageTrainConfig, config)
    from asr.language.trainer import LanguageTrainer  # imports Keras: after the configuration is known to be right

    _train(LanguageTrainer(settings, config.parent, run), until_minutes)


def train_next_words_command(config: Path, run: Path, until_minutes: float | None) -> None:
    """Trains a network over words; as `train_language_command`, of a `NextWordTrainConfig` to `next_words.npz`."""
    settings = read_toml(NextWordTrainConfig, config)
    from asr.language.next_word_trainer import NextWordTrainer

    _train(NextWordTrainer(settings, config.parent, run), until_minutes)


def _train(trainer: "TextTrainer", until_minutes: float | None) -> None:
    def stop(signum: int, frame: FrameType | None) -> None:
        log.info("stopping after this step")
        trainer.stop_requested = True

    previous = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        trainer.train(until=time.time() + 60 * until_minutes if until_minutes else None)
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
