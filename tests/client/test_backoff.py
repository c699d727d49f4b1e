from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.backoff import Backoff


def test_waits_double_up_to_a_bound() -> None:
    backoff = Backoff(first_s=0.5, longest_s=3.0)
    assert list(islice(backoff.delays(lambda low, high: high), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]


@given(st.floats(0, 10), st.floats(0, 10), st.floats(1, 4))
def test_jitter_takes_up_to_half(first: float, more: float, factor: float) -> None:
    backoff = Backoff(first_s=first, longest_s=first + more, factor=factor)
    highest = list(islice(backoff.delays(lambda low, high: high), 9))
    drawn = list(islice(backoff.delays(), 9))
    assert all(high / 2 <= delay <= high for delay, high in zip(drawn, highest, strict=True))


@pytest.mark.parametrize(
    "options",
    [{"first_s": -1.0}, {"first_s": 9.0}, {"factor": 0.5}, {"give_up_s": -1.0}, {"first_s": float("nan")}],
)
def test_out_of_range(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Backoff(**options)
