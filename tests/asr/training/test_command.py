"""Signals and times that end a run in good order."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from asr.training.command import train_command


class FakeTrainer:
    """Sends this process a signal while it trains."""

    send: ClassVar[int | None] = None
    made: ClassVar[list["FakeTrainer"]] = []

    def __init__(self, config: Any, base: Path, run: Path) -> None:
        self.base, self.run, self.stop_requested, self.until = base, run, False, None
        self.made.append(self)

    def train(self, until: float | None) -> None:
        self.until = until
        if self.send is not None:
            os.kill(os.getpid(), self.send)  # a handler of Python's runs before the next line


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, write_config: Callable[..., Path], tmp_path: Path) -> Callable[..., Any]:
    def run(send: int | None = None, until_minutes: float | None = None) -> FakeTrainer:
        monkeypatch.setattr("asr.training.trainer.Trainer", FakeTrainer)
        monkeypatch.setattr(FakeTrainer, "send", send)
        monkeypatch.setattr(FakeTrainer, "made", [])
        train_command(write_config(tmp_path / "toy.toml"), tmp_path / "run", until_minutes)
        (made,) = FakeTrainer.made
        return made

    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_run_to_stop(train: Callable[..., FakeTrainer], number: int) -> None:
    before = signal.getsignal(number)
    assert train(send=number).stop_requested
    assert signal.getsignal(number) is before


def test_without_a_signal_it_runs_to_its_end(train: Callable[..., FakeTrainer], tmp_path: Path) -> None:
    made = train()
    assert not made.stop_requested and made.until is None
    assert (made.base, made.run) == (tmp_path, tmp_path / "run")


def test_minutes_are_counted_from_now(train: Callable[..., FakeTrainer]) -> None:
    until = train(until_minutes=2.0).until
    assert until is not None and 115 < until - time.time() <= 120


def test_handlers_come_back_after_an_error(train: Callable[..., FakeTrainer], monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: FakeTrainer, until: float | None) -> None:
        raise ValueError("no data")

    monkeypatch.setattr(FakeTrainer, "train", fails)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="no data"):
        train()
    assert signal.getsignal(signal.SIGTERM) is before
