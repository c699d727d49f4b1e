"""The largest number of streams that a server holds."""

from collections.abc import Awaitable, Callable

from client.bench.run import Result

FINENESS = 16  # the answer is exact to a sixteenth of itself, and to one stream below that
MOST = 65_536  # streams that are tried


def holds(result: Result, target_ms: float) -> bool:
    """Whether no stream failed and 99 % of the chunks took at most so many milliseconds."""
    return not result.errors and result.chunk is not None and result.chunk.p99 <= target_ms


async def largest(
    run: Callable[[int], Awaitable[Result]],
    target_ms: float,
    known: dict[int, bool],
    go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Searches by doubling, and by halving the interval between what held and what did not.

    Args:
        run: Tries a number of streams.
        target_ms: For the 99th percentile of the chunks' latencies, in milliseconds.
        known: Numbers that were tried, and whether they held; gets those that are tried here.
        go_on: Whether there is time for another try.

    Returns:
        The largest number that held; 0 if none did.
    """
    while go_on():
        low = _most_held(known)
        high = min((number for number, held in known.items() if not held and number > low), default=None)
        if high is not None and high - low <= max(1, low // FINENESS):
            break
        number = max(1, 2 * low) if high is None else (low + high) // 2
        if number > MOST:
            break
        known[number] = holds(await run(number), target_ms)
    return _most_held(known)


def _most_held(known: dict[int, bool]) -> int:
    """The largest number that held, whatever fewer streams did: p99 of few chunks is the unluckiest of them."""
    return max((number for number, held in known.items() if held), default=0)
