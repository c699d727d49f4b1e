import pytest

from client.pace import Pace


@pytest.mark.asyncio
async def test_audio_time_runs_with_the_clock() -> None:
    now, waits = [100.0], []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    pace = Pace(sleep, lambda: now[0])
    await pace.until(0.5)
    now[0] += 0.25  # work
    await pace.until(1.0)
    now[0] += 2.0
    await pace.until(1.5)  # late: no wait
    await pace.until(4.0)
    assert waits == [0.5, 0.25, 0.0, 1.0]
