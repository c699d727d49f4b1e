"""Random generators of the model (dropout, skipped branches), set from the step: a resumed run draws the same.

Their own counters are no part of a checkpoint.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_seed(variable: Any) -> bool:
    """Whether a Keras variable is the state of a random generator."""
    return "seed_generator" in variable.path


def seed_variables(model: Any) -> list[Any]:
    """States of the model's random generators, in the order of its layers."""
    return [v for v in model.variables if is_seed(v)]


def seeds_at(count: int, seed: int, step: int) -> NDArray[np.uint32]:
    """States of `count` generators at a step: [count, 2].

    They are below 2^31, so that they stay as they are where a backend takes them for int32.
    """
    states = np.random.SeedSequence((seed, step, 11)).generate_state(2 * count, np.uint32)
    return (states & np.uint32(0x7FFFFFFF)).reshape(count, 2)
