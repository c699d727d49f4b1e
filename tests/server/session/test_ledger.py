import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.session.ledger import LEAST_SAMPLES, PIECE_SAMPLES, AudioLedger


def ramp(start: int, end: int) -> np.ndarray:
    return np.arange(start, end, dtype=np.float32)


@given(st.lists(st.integers(0, 40), max_size=12), st.data())
def test_it_holds_what_was_not_forgotten_however_it_came(lengths: list[int], data: st.DataObject) -> None:
    ledger, end = AudioLedger(), 0
    for length in lengths:
        ledger.append(ramp(end, end + length))
        end += length
        ledger.forget(data.draw(st.integers(0, end)))
    start = data.draw(st.integers(0, end))
    stop = data.draw(st.integers(start, end))
    got = np.concatenate([ramp(0, 0), *ledger.between(start, stop)])
    np.testing.assert_array_equal(got, ramp(max(start, ledger.start), max(stop, start, ledger.start))[: len(got)])
    assert len(got) == max(0, stop - max(start, ledger.start))
    assert ledger.end == end


def test_forgetting_frees_the_memory() -> None:
    ledger = AudioLedger()
    ledger.append(ramp(0, 100 * LEAST_SAMPLES))
    ledger.forget(98 * LEAST_SAMPLES)
    assert ledger._buffer.size == 4 * LEAST_SAMPLES
    held = np.concatenate(list(ledger.between(0, ledger.end)))
    np.testing.assert_array_equal(held, ramp(98 * LEAST_SAMPLES, 100 * LEAST_SAMPLES))
    ledger.forget(ledger.end)
    assert ledger._buffer.size == LEAST_SAMPLES
    assert list(ledger.between(0, ledger.end)) == []


def test_single_samples_take_no_more_room_than_long_pieces() -> None:
    ledger, end = AudioLedger(), 3 * LEAST_SAMPLES
    for sample in range(end):
        ledger.append(ramp(sample, sample + 1))
        ledger.forget(max(0, sample - 99))
    assert ledger._buffer.size == LEAST_SAMPLES
    np.testing.assert_array_equal(np.concatenate(list(ledger.between(0, end))), ramp(end - 100, end))


def test_long_audio_comes_in_pieces() -> None:
    ledger = AudioLedger()
    ledger.append(ramp(0, 2 * PIECE_SAMPLES + 5))
    assert [len(piece) for piece in ledger.between(0, ledger.end)] == [PIECE_SAMPLES, PIECE_SAMPLES, 5]


def test_what_never_came_cannot_be_forgotten() -> None:
    with pytest.raises(ValueError, match="at most 0 samples, got 1"):
        AudioLedger().forget(1)
