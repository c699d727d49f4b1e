"""A session as the tests find it."""

import pytest

from server.session import Session
from server.wire import Start, encode
from tests.server.session.making import make_session


@pytest.fixture
def opening() -> Session:
    """Connected, nothing more."""
    return make_session()


@pytest.fixture
def session() -> Session:
    """Open."""
    session = make_session()
    session.receive_text(encode(Start(sample_rate=16_000)), 0.0)
    return session
