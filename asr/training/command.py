"""`asr train`: reads the configuration, trains, and stops in good order when told to."""

import logging
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from asr.config import read_toml
from asr.training.config import TrainConfig

log = logging.getLogger(__name__)


def train_command(config: Path, run: Path, until_minutes: float | None, settings: Sequence[str] = ()) -> None:
    """Trains, or goes on where the run stopped.

    SIGTERM and Ctrl-C end the run after the current step, with a checkpoint; a kill loses at most one checkpoint
    interval.

    Args:
        config: TOML file of a `TrainConfig`.
        run: Folder of checkpoints, logs and the feature cache.
        until_minutes: Stop, resumable, after this time; None: at the last step.
        settings: "table.key=value" each, over what the file says.

    Raises:
        ConfigError: naming the key that is wrong.
        ValueError: from the manifest or the audio, naming the file.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of batch shapes, which are traced once each
    wanted = read_toml(TrainConfig, config, settings)
    from asr.training.trainer import Trainer  # imports TensorFlow: after the configuration is known to be right

    trainer = Trainer(wanted, config.parent, run)

    def stop(signum: int, frame: FrameType | None) -> None:
        log.info("stopping after this step")
        trainer.stop_requested = True

    previous = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        trainer.train(until=time.time() + 60 * until_minutes if until_minutes else None)
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
