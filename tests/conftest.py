"""What every test runs under: quiet TensorFlow, no display, hypothesis without wall-clock deadlines."""

import os
from importlib.util import find_spec

from hypothesis import settings

# Before any test module imports Keras, TensorFlow or matplotlib, which read these once.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["EARSHOT_CACHE"] = "off"  # what one test compiles, no other finds: those of the cache have their own

# No deadlines: the first example may compile a step, and a loaded machine is no bug. In CI the same examples
# each time.
settings.register_profile("earshot", deadline=None, derandomize="CI" in os.environ, print_blob=True)
settings.load_profile("earshot")

# tensorflow-io loads only with TensorFlow 2.16: its tests have an environment of their own, `make test-tfio`.
collect_ignore = [] if find_spec("tensorflow_io") else ["tfio"]
