"""Learning rate and chunk size as functions of the step."""

import math

import numpy as np

from asr.training.config import ScheduleConfig


def learning_rate(step: int, config: ScheduleConfig) -> float:
    """Linear warm-up, then a cosine from the peak to the final rate (Loshchilov and Hutter 2017, 1608.03983)."""
    if step < config.warmup_steps:
        return config.peak_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    fall = 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))
    return config.final_rate + (config.peak_rate - config.final_rate) * fall


def chunk_of(step: int, config: ScheduleConfig) -> int:
    """Encoder frames per chunk of the batch at this step; 0 is full context. Repeatable from the seed and the step."""
    weights = np.asarray(config.chunk_weights, float)
    rng = np.random.default_rng((config.seed, step, 7))
    return int(rng.choice(np.asarray(config.chunks), p=weights / weights.sum()))


def fading(step: int, steps: int) -> float:
    """From 1 at the first step down to 0 at step `steps`, linearly; 0 throughout if `steps` is 0."""
    return max(0.0, 1.0 - step / steps) if steps else 0.0
