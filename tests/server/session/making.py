"""Sessions under a fake clock, and what there is to be seen of their actions."""

import itertools

import numpy as np
from numpy.typing import NDArray

from server.session import Action, Identity, Limits, Send, Session, ToWorker
from server.wire import ServerMessage
from server.worker import messages as worker
from tests.server.session.fake_worker import STARTED

LIMITS = Limits(
    idle_s=10, session_s=100, resume_s=20, worker_s=15, backlog_s=5, held_s=30, events=8, errors=3, frame_bytes=100_000
)


def make_session(limits: Limits = LIMITS, now: float = 0.0) -> Session:
    numbers = itertools.count()
    return Session(7, Identity("alice"), limits, now, STARTED, tokens=lambda: f"token-{next(numbers)}")


def sent(actions: list[Action]) -> list[ServerMessage]:
    return [action.message for action in actions if isinstance(action, Send)]


def to_worker(actions: list[Action]) -> list[worker.ToWorker]:
    return [action.message for action in actions if isinstance(action, ToWorker)]


def audio(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-1, 1, round(16_000 * seconds)).astype(np.float32)


def recognised(*events: worker.Hypothesis | worker.Segment, position: int, keep_from: int = 0) -> worker.Recognised:
    return worker.Recognised(
        stream=7, events=events, position=position, keep_from=keep_from, queue_ms=1.5, compute_ms=2.5, batch=1
    )


def segment(number: int, text: str) -> worker.Segment:
    words = tuple(worker.SpokenWord(word, 100 * i, 100 * i + 50, 0.5) for i, word in enumerate(text.split()))
    return worker.Segment(segment=number, text=text, words=words)
