import pytest

from client.bench.latency import Latencies, Stopwatch, Summary, percentiles, summary
from server.wire import Final, Partial, Timing, Word
from tests.server.wire.finals import final_of


def partial(text: str, audio_ms: int, queue_ms: float = 10.0, compute_ms: float = 20.0) -> Partial:
    timing = Timing(queue_ms=queue_ms, compute_ms=compute_ms)
    return Partial(segment=0, text=text, stable=0, audio_ms=audio_ms, timing=timing)


def final(*words: tuple[int, int], segment: int = 0) -> Final:
    found = tuple(Word(word="w", start_ms=a, end_ms=b, confidence=1.0) for a, b in words)
    return final_of(segment, "w", words=found)


@pytest.fixture
def measured() -> Latencies:
    return Latencies()


@pytest.fixture
def watch(measured: Latencies) -> Stopwatch:
    """100 ms of audio each 100 ms, from second 7 on; what being late is, is tested by itself."""
    watch = Stopwatch(measured, [100 * block for block in range(1, 13)])
    measured.counting = False
    for block in range(1, 11):
        watch.sent(7 + block / 10, 7 + block / 10)
    measured.counting = True
    return watch


def test_a_chunk_counts_from_when_its_audio_was_sent(watch: Stopwatch, measured: Latencies) -> None:
    watch.came(partial("w", audio_ms=320), 7.45)  # 320 ms were sent with the block that ends at 400
    assert measured["chunk"] == [pytest.approx(50)]
    assert measured["queue"] == [10.0]
    assert measured["compute"] == [20.0]
    assert measured["network"] == [pytest.approx(20)]


def test_a_chunk_at_the_end_of_a_block(watch: Stopwatch, measured: Latencies) -> None:
    watch.came(partial("w", audio_ms=300), 7.45)
    assert measured["chunk"] == [pytest.approx(150)]


@pytest.mark.parametrize("audio_ms", [1_100, 1_280])
def test_a_chunk_beyond_what_was_sent_is_not_counted(watch: Stopwatch, measured: Latencies, audio_ms: int) -> None:
    watch.came(partial("w", audio_ms), 8.5)
    assert measured["chunk"] == []


def test_a_final_counts_from_its_last_word(watch: Stopwatch, measured: Latencies) -> None:
    watch.came(final((80, 160), (240, 400), segment=1), 8.2)
    assert measured["final"] == [pytest.approx(800)]
    assert measured["first_partial"] == []


def test_the_first_partial_counts_from_where_the_word_began(watch: Stopwatch, measured: Latencies) -> None:
    watch.came(partial("", audio_ms=100), 7.2)
    watch.came(partial("w", audio_ms=300), 7.5)
    watch.came(partial("w w", audio_ms=400), 7.6)
    watch.came(final((120, 250)), 8.0)
    watch.came(final((500, 600), segment=1), 8.1)
    assert measured["first_partial"] == [pytest.approx(300)]


def test_a_word_counts_from_its_end_to_the_first_partial_that_has_it(watch: Stopwatch, measured: Latencies) -> None:
    watch.came(partial("w", audio_ms=300), 7.5)
    watch.came(partial("w w", audio_ms=400), 7.7)
    watch.came(final((100, 300), (320, 400), (410, 500)), 8.0)  # the third was in no partial
    assert measured["word"] == [pytest.approx(200), pytest.approx(300), pytest.approx(500)]
    watch.came(final((600, 700), segment=1), 8.1)
    assert measured["word"][3:] == [pytest.approx(400)]


def test_finals_without_words_tell_nothing(watch: Stopwatch, measured: Latencies) -> None:
    watch.came(final_of(0, "w"), 8.0)
    assert measured["final"] == measured["word"] == []


def test_a_client_that_is_late(measured: Latencies) -> None:
    watch = Stopwatch(measured, [100.0])
    watch.sent(7.13, 7.1)
    assert measured["late"] == [pytest.approx(30)]


def test_nothing_is_taken_while_it_does_not_count(watch: Stopwatch, measured: Latencies) -> None:
    measured.counting = False
    watch.came(partial("w", audio_ms=300), 7.45)
    assert measured["chunk"] == []


def test_summary() -> None:
    assert summary([]) is None
    assert summary([float(n) for n in range(101)]) == Summary(101, 50.0, 50.0, 95.0, 99.0, 100.0)


def test_percentiles() -> None:
    assert percentiles([]) == ()
    assert percentiles([float(n) for n in range(201)]) == tuple(2.0 * n for n in range(101))
