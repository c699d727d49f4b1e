from collections import Counter

import pytest

from asr.training.config import ScheduleConfig
from asr.training.schedule import chunk_of, fading, learning_rate


def test_the_rate_warms_up_linearly_to_its_peak():
    config = ScheduleConfig(steps=100, warmup_steps=10, peak_rate=1.0, final_rate=0.1)
    assert [learning_rate(s, config) for s in range(10)] == pytest.approx([0.1 * (s + 1) for s in range(10)])
    assert learning_rate(10, config) == 1.0


def test_the_rate_falls_by_a_cosine_to_its_end_and_stays():
    config = ScheduleConfig(steps=110, warmup_steps=10, peak_rate=1.0, final_rate=0.2)
    assert learning_rate(60, config) == pytest.approx(0.6)  # half-way
    assert learning_rate(35, config) == pytest.approx(0.6 + 0.4 * 0.5**0.5)
    assert learning_rate(110, config) == learning_rate(500, config) == pytest.approx(0.2)


def test_without_warm_up_the_first_rate_is_the_peak():
    assert learning_rate(0, ScheduleConfig(warmup_steps=0, peak_rate=0.5)) == 0.5


def test_chunks_are_drawn_by_their_weights_and_repeat():
    config = ScheduleConfig(chunks=(4, 8, 0), chunk_weights=(1.0, 3.0, 0.0))
    drawn = [chunk_of(step, config) for step in range(400)]
    assert drawn == [chunk_of(step, config) for step in range(400)]
    counts = Counter(drawn)
    assert counts[0] == 0 and counts[8] / 400 == pytest.approx(0.75, abs=0.07)


def test_another_seed_draws_other_chunks():
    draws = [[chunk_of(s, ScheduleConfig(seed=seed)) for s in range(50)] for seed in (1, 2)]
    assert draws[0] != draws[1]


@pytest.mark.parametrize(
    ("step", "steps", "weight"), [(0, 10, 1.0), (5, 10, 0.5), (10, 10, 0.0), (99, 10, 0.0), (0, 0, 0.0)]
)
def test_fading(step, steps, weight):
    assert fading(step, steps) == weight
