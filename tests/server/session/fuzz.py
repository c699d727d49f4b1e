"""`python -m tests.server.session.fuzz`: the tests of the session that draw at random, for as long as one likes."""

import argparse
import time
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis.stateful import run_state_machine_as_test

from server.wire import WireError, decode_client, encode
from tests.server.session.test_fuzz import check, frames, texts
from tests.server.session.test_machine import SessionMachine

STEPS = 50  # of a run of the state machine


def run(examples: int) -> dict[str, Counter[str]]:
    """Fuzzes the session with raw frames, the codec with raw texts, and the session with failures in order.

    Args:
        examples: Of each; of the state machine, which has many steps an example, a tenth.

    Returns:
        What came of each, by kind.

    Raises:
        AssertionError: with the shortest example that hypothesis finds.
    """
    outcomes = {"frames": Counter[str](), "texts": Counter[str](), "failures": Counter[str]()}
    common = settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
    )

    @common
    @given(frames)
    def raw_frames(noise: list[bytes | str | int]) -> None:
        outcomes["frames"].update({"sequences": 1, **check(noise)})

    @common
    @given(texts)
    def raw_texts(text: bytes | str) -> None:
        try:
            message = decode_client(text)
        except WireError as error:
            outcomes["texts"][error.code.value] += 1
            return
        assert decode_client(encode(message)) == message
        outcomes["texts"]["messages"] += 1

    class Counted(SessionMachine):
        def __init__(self) -> None:
            super().__init__()
            outcomes["failures"]["runs"] += 1

    raw_frames()
    raw_texts()
    machine = settings(common, max_examples=max(1, examples // 10), stateful_step_count=STEPS)
    run_state_machine_as_test(Counted, settings=machine)
    return outcomes


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.server.session.fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=20_000)
    examples = parser.parse_args().examples
    begin = time.monotonic()
    for name, counts in run(examples).items():
        print(f"{name}: " + ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))
    print(f"no failure in {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
