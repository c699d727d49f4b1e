import asyncio

import pytest

from client.bench.run import Result
from client.bench.search import holds, largest
from tests.client.bench.making import make_result


class Server:
    """Holds so many streams."""

    def __init__(self, most: int) -> None:
        self.most, self.tried = most, []

    async def run(self, streams: int) -> Result:
        self.tried.append(streams)
        return make_result(streams, 100.0 if streams <= self.most else 501.0)


def search(server: Server, known: dict[int, bool] | None = None) -> int:
    return asyncio.run(largest(server.run, 500.0, {} if known is None else known))


@pytest.mark.parametrize("most", range(0, 17))
def test_small_numbers_are_exact(most: int) -> None:
    assert search(Server(most)) == most


@pytest.mark.parametrize("most", [33, 100, 300, 1_000])
def test_large_numbers_are_exact_to_a_sixteenth(most: int) -> None:
    server = Server(most)
    assert most * 15 / 16 - 1 <= search(server) <= most
    assert len(server.tried) == len(set(server.tried)) < 20


def test_what_is_known_is_not_tried_again() -> None:
    server, known = Server(40), {1: True, 32: True, 64: False}
    assert search(server, known) == 40
    assert min(server.tried) > 32
    assert max(server.tried) < 64
    assert known[40]


def test_a_server_without_a_limit_of_ours() -> None:
    assert search(Server(10**9)) == 65_536


def test_no_time_left() -> None:
    server = Server(40)
    assert asyncio.run(largest(server.run, 500.0, {8: True, 16: False, 32: True}, lambda: False)) == 32
    assert server.tried == []


def test_an_unlucky_try_with_few_streams_decides_nothing() -> None:
    assert search(Server(40), {1: False, 8: True, 32: True, 64: False}) == 40


def test_what_holds() -> None:
    assert holds(make_result(1, 500.0), 500.0)
    assert not holds(make_result(1, 500.1), 500.0)
    assert not holds(make_result(1, 1.0, {"overloaded": 1}), 500.0)
    assert not holds(make_result(1, None), 500.0)
