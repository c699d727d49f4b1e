"""TensorFlow and Keras imported without what they import besides if it happens to be installed.

Both try JAX, matplotlib, pandas, SciPy, scikit-learn and TensorBoard, for conversions, plots and wrappers; where these
are installed, importing them takes nearly half of the time. Recognition uses none of them through TensorFlow or Keras.
"""

import json
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType

NOT_NEEDED = frozenset({"jax", "matplotlib", "pandas", "scipy", "sklearn", "tensorboard"})


def import_keras() -> None:
    """Imports Keras, and if it works on TensorFlow, without the packages of `NOT_NEEDED`; those can be imported later.

    For processes that recognise and do not train.
    """
    hidden = _Hidden() if _backend() == "tensorflow" and "tensorflow" not in sys.modules else None
    if hidden:
        sys.meta_path.insert(0, hidden)
    try:
        import keras  # noqa: F401
    finally:
        if hidden:
            sys.meta_path.remove(hidden)


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
