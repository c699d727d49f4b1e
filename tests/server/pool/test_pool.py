import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.pool import Patience, Pool, PoolFull, inference_worker
from server.pool.process import WorkerGone, WorkerProcess
from server.worker.messages import Drop, Finish, Finished, Flush, Flushed, Shutdown

Start = Callable[..., Awaitable[Any]]
Fake = Callable[..., Callable[[str], list[str]]]

QUICK = Patience(start_s=20.0, hang_s=0.4, first_backoff_s=0.01)

pytestmark = pytest.mark.asyncio


async def test_streams_are_recognised(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker())
    assert not run.pool.ready
    assert run.pool.about is None
    await run.warm()
    assert run.pool.about.model == "fake"
    run.open(1)
    run.speak(1, 8)
    run.pool.send(Finish(stream=1))
    await run.until(lambda: Finished(stream=1) in run.messages)
    first, second = run.finals(1)
    assert first == second  # the same silence, and every segment begins anew
    assert len(first.split()) == 4


async def test_streams_spread_over_workers_and_slots_are_freed(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker("--slots", "2"), workers=2)
    await run.warm()
    assert sorted(run.open(stream) for stream in range(4)) == [0, 0, 1, 1]
    with pytest.raises(PoolFull, match="expected a free slot, got 4 streams on 2 workers"):
        run.pool.open(4)
    assert run.pool.streams == 4
    run.pool.send(Drop(stream=2))
    run.pool.close(2)
    run.pool.close(2)
    run.pool.open(5)


async def test_takes_no_streams_before_it_is_warm(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker("--first", "nothing"))
    with pytest.raises(PoolFull):
        run.pool.open(1)


async def test_a_killed_worker_is_replaced(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker())
    await run.warm()
    run.open(1)
    run.speak(1, 6)
    await run.until(lambda: len(run.messages) == 6)
    os.kill(run.pool.workers[0].pid, signal.SIGKILL)
    await run.until(lambda: run.ready == [[1]])
    assert run.lost == [[1]]
    assert run.pool.restarts == 1
    run.reopen(1, position=4 * 5120, segment=1)
    run.speak(1, 4)
    await run.until(lambda: len(run.finals(1)) == 2)
    assert run.finals(1)[0] == run.finals(1)[1]


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGKILL, "was killed by SIGKILL"), (0, "stopped reading")])
async def test_the_log_tells_a_worker_that_ended_from_one_that_does_not_read(
    start_pool: Start,
    fake_worker: Fake,
    number: int,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though a message may find its socket closed before its end is noticed."""
    run = await start_pool(fake_worker())
    await run.warm()
    run.open(1)

    def refuse(process: WorkerProcess, message: object) -> None:
        os.kill(process.pid, number)
        raise WorkerGone("does not take messages")

    with caplog.at_level(logging.ERROR, logger="server.pool"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(WorkerProcess, "send", refuse)
            run.speak(1, 1)
        await run.until(lambda: run.ready == [[1]])
    (line,) = (record.message for record in caplog.records if record.name == "server.pool.supervisor")
    assert line.startswith(f"worker 0 {reason}")


async def test_lost_streams_move_to_a_running_worker_at_once(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker("--slots", "3"), workers=2)
    await run.warm()
    assert sorted(run.open(stream) for stream in range(4)) == [0, 0, 1, 1]
    lost = sorted(run.pool.workers[0].streams)
    os.kill(run.pool.workers[0].pid, signal.SIGKILL)
    await run.until(lambda: len(run.ready) == 2)
    assert run.lost == [lost]
    assert run.ready == [lost[:1], lost[1:]]  # one finds a slot, the other waits for the new worker
    assert run.pool.ready


async def test_streams_closed_while_they_wait_are_not_placed(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker())
    await run.warm()
    run.open(1)
    run.open(2)
    os.kill(run.pool.workers[0].pid, signal.SIGKILL)
    await run.until(lambda: run.lost)
    run.speak(2, 1)  # dropped: there is nobody to take it
    run.pool.close(1)
    await run.until(lambda: run.ready)
    assert run.ready == [[2]]
    assert run.pool.streams == 1


@pytest.mark.parametrize(("options", "end"), [(("--mute",), "flush"), (("--mute",), "audio"), (("--deaf",), "flush")])
async def test_a_hung_worker_is_replaced(
    start_pool: Start, fake_worker: Fake, options: tuple[str, ...], end: str
) -> None:
    run = await start_pool(fake_worker(*options), patience=QUICK)
    await run.warm()
    run.open(1)
    if end == "flush":
        run.pool.send(Flush(stream=1))
    else:
        run.speak(1, 2)
    await run.until(lambda: run.ready == [[1]])
    assert run.lost == [[1]]


async def test_an_idle_worker_is_not_taken_for_hung(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker(), patience=Patience(hang_s=0.05))
    await run.warm()
    run.open(1)
    run.speak(1, 1)
    await run.until(lambda: len(run.messages) == 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await run.until(lambda: run.lost)


async def test_a_worker_that_takes_no_more_messages_is_replaced(
    start_pool: Start, fake_worker: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.pool.process.HIGH_WATER", 10)
    run = await start_pool(fake_worker("--deaf"))
    await run.warm()
    run.open(1)
    run.speak(1, 3000)  # beyond what the socket's own buffers take
    await run.until(lambda: run.ready == [[1]])
    assert run.lost == [[1]]


@pytest.mark.parametrize("first", ["garbage", "finished", "nothing"])
async def test_a_worker_that_does_not_begin_as_one_fails(start_pool: Start, fake_worker: Fake, first: str) -> None:
    patience = Patience(start_s=0.5 if first == "nothing" else 20.0, failures=1)
    run = await start_pool(fake_worker("--first", first), patience=patience)
    await run.until(lambda: run.failing)
    expected = {
        "garbage": "worker 0 sent something that is no message",
        "finished": "worker 0 began with Finished instead of Started",
        "nothing": "worker 0 did not load within 0.5 s",
    }
    assert expected[first] in run.failing[0]
    assert run.lost == []


async def test_failing_is_told_after_several_starts(start_pool: Start, fake_worker: Fake) -> None:
    patience = Patience(failures=3, first_backoff_s=0.01)
    run = await start_pool(fake_worker("--exit", "7"), patience=patience)
    await run.until(lambda: run.failing)
    assert run.failing[0] == "worker 0 exited with status 7"
    assert run.pool.restarts == 3


async def test_what_a_worker_says_last_is_in_the_log(
    start_pool: Start, fake_worker: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    run = await start_pool(fake_worker("--exit", "1"), patience=Patience(failures=1))
    await run.until(lambda: run.failing)
    assert "worker 0: it is told to exit with 1" in caplog.messages


async def test_a_command_that_does_not_exist_is_told(start_pool: Start) -> None:
    run = await start_pool(lambda address: ["/does/not/exist"], patience=Patience(failures=1))
    await run.until(lambda: run.failing)
    assert "cannot be started" in run.failing[0]


async def test_one_failing_worker_is_no_end_while_another_runs(start_pool: Start, fake_worker: Fake) -> None:
    good, bad = fake_worker(), fake_worker("--exit", "7")
    patience = Patience(failures=1, first_backoff_s=0.01)
    run = await start_pool(lambda address: (bad if "worker-1-" in address else good)(address), 2, patience)
    await run.until(lambda: run.pool.workers[0].started)
    run.failing.clear()
    restarts = run.pool.restarts
    await run.until(lambda: run.pool.restarts > restarts + 1)
    assert run.failing == []
    assert not run.pool.ready
    assert run.open(1) == 0


async def test_messages_of_closed_streams_are_not_handed_on(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker())
    await run.warm()
    run.open(1)
    run.open(2)
    run.pool.send(Flush(stream=1))
    run.pool.close(1)
    run.pool.send(Flush(stream=2))
    await run.until(lambda: run.messages)
    assert {message.stream for message in run.messages} == {2}


async def test_many_messages_in_a_row_leave_others_their_turn(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker())
    await run.warm()
    run.open(1)
    for _ in range(200):
        run.pool.send(Flush(stream=1))
    await run.until(lambda: run.messages.count(Flushed(stream=1, keep_from=0)) == 200)


async def test_stop_ends_processes_and_removes_sockets(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker(), workers=2)
    await run.warm()
    pids = [worker.pid for worker in run.pool.workers]
    folder = run.pool._folder
    await run.pool.stop()
    await run.pool.stop()
    assert not folder.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def test_stop_kills_a_worker_that_does_not_obey(
    start_pool: Start, fake_worker: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.pool.process.KILL_S", 0.1)
    run = await start_pool(fake_worker("--deaf"))
    await run.warm()
    pid = run.pool.workers[0].pid
    await run.pool.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_shutdown_is_the_pools_own_message(start_pool: Start, fake_worker: Fake) -> None:
    run = await start_pool(fake_worker())
    with pytest.raises(ValueError, match="expected a message about a stream, got Shutdown"):
        run.pool.send(Shutdown())


async def test_stop_before_start_is_harmless(fake_worker: Fake) -> None:
    nothing = lambda _: None  # noqa: E731
    pool = Pool(fake_worker(), 1, Patience(), on_message=nothing, on_lost=nothing, on_ready=nothing)
    await pool.stop()
    assert pool.streams == 0


async def test_the_real_workers_command_line() -> None:
    command = inference_worker(["--slots", "4"])("ipc:///tmp/x")
    assert command[1:] == ["-m", "server.worker", "--connect", "ipc:///tmp/x", "--slots", "4"]
