from typing import Any

import pytest

from server.session import Limits


def test_the_defaults_are_sound() -> None:
    limits = Limits()
    assert limits.backlog_s < limits.session_s and limits.idle_s <= limits.resume_s


@pytest.mark.parametrize("name", ["idle_s", "session_s", "resume_s", "worker_s", "backlog_s", "held_s"])
@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_times_are_positive_and_finite(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a positive number, got {value}"):
        Limits(**{name: value})


@pytest.mark.parametrize("name", ["events", "errors", "frame_bytes"])
@pytest.mark.parametrize("value", [1.5, True, "9", None])
def test_counts_are_whole(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a number of things, got"):
        Limits(**{name: value})


def test_times_are_numbers() -> None:
    wrong: Any = "60"
    with pytest.raises(ValueError, match="idle_s: expected a number, got '60'"):
        Limits(idle_s=wrong)
