"""TensorFlow and Keras imported without what they import besides if it happens to be installed.

Both try JAX, matplotlib, pandas, SciPy, scikit-learn and TensorBoard, for conversions, plots and wrappers; where these
are installed, importing them takes nearly half of the time. Recognition uses none of them through TensorFlow or Keras.
"""

import json
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

# TensorFlow tells how it was built before it reads how much it may tell (TF_CPP_MIN_LOG_LEVEL), LiteRT what computes.
NOTICE = re.compile(rb"WARNING: All log messages before absl::InitializeLog|I\d{4} |INFO: Created TensorFlow Lite ")
_one_at_a_time = threading.Lock()  # of those who exchange standard error
NOT_NEEDED = frozenset({"jax", "matplotlib", "pandas", "scipy", "sklearn", "tensorboard"})


def import_keras() -> None:
    """Imports Keras, and if it works on TensorFlow, without the packages of `NOT_NEEDED`; those can be imported later.

    For processes that recognise and do not train.
    """
    hidden = _Hidden() if _backend() == "tensorflow" and "tensorflow" not in sys.modules else None
    if hidden:
        sys.meta_path.insert(0, hidden)
    try:
        with without_notices():
            import keras  # noqa: F401
    finally:
        if hidden:
            sys.meta_path.remove(hidden)


@contextmanager
def without_notices() -> Iterator[None]:
    """Keeps notices of native code from standard error; what else was written there comes at the end."""
    if sys.stderr is None:  # closed: nobody reads notices
        yield
        return
    sys.stderr.flush()
    with _one_at_a_time, tempfile.TemporaryFile() as written:
        kept = os.dup(2)
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            for line in written:
                if not NOTICE.match(line):
                    os.write(2, line)


class _Hidden(MetaPathFinder):
    """Says that there is no such package."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name.partition(".")[0] in NOT_NEEDED:
            raise ModuleNotFoundError(f"{name} is not needed here", name=name)


def _backend() -> str:
    """What Keras will work on: it reads the environment, and else its own file of settings."""
    if "KERAS_BACKEND" in os.environ:
        return os.environ["KERAS_BACKEND"]
    file = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"
    try:
        return str(json.loads(file.read_text(encoding="utf-8")).get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"
