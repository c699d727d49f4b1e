from server.pool.backoff import Backoff


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first_s=1.0, longest_s=5.0)
    assert [backoff.after(0.0) for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_begins_anew_after_a_long_life() -> None:
    backoff = Backoff(first_s=1.0, steady_s=60.0)
    assert [backoff.after(0.0), backoff.after(59.9), backoff.after(60.0), backoff.after(0.0)] == [1.0, 2.0, 1.0, 2.0]
