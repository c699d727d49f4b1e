"""`asr train-lm`: reads the configuration, trains, and stops in good order when told to."""

import logging
import signal
import time
from pathlib import Path
from types import FrameType

from asr.config import read_toml
from asr.language.config import LanguageTrainConfig

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

    trainer = LanguageTrainer(settings, config.parent, run)

    def stop(signum: int, frame: FrameType | None) -> None:
        log.info("stopping after this step")
        trainer.stop_requested = True

    previous = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        trainer.train(until=time.time() + 60 * until_minutes if until_minutes else None)
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
