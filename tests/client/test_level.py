import numpy as np
import pytest

from client.level import FLOOR_DB, level_db, meter


def audio(samples: np.ndarray) -> bytes:
    return np.rint(32767 * samples).astype("<i2").tobytes()


def test_a_full_sine_is_three_decibels_below_full_scale() -> None:
    assert level_db(audio(np.sin(np.arange(16_000)))) == pytest.approx(-3.01, abs=0.01)


def test_ten_times_less_is_twenty_decibels_less() -> None:
    assert level_db(audio(np.full(100, 0.1))) == pytest.approx(-20, abs=0.01)


@pytest.mark.parametrize("silence", [b"", bytes(100), audio(np.full(9, 1e-4))])
def test_silence(silence: bytes) -> None:
    assert level_db(silence) == FLOOR_DB


@pytest.mark.parametrize(("db", "bar"), [(-99, "····"), (-60, "····"), (-30, "██··"), (0, "████"), (6, "████")])
def test_meter(db: float, bar: str) -> None:
    assert meter(db, 4) == bar
