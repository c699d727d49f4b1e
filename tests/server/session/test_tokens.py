import hmac
import itertools

import pytest

from server.session.tokens import ResumeTokens, new_token


def numbered() -> ResumeTokens:
    numbers = itertools.count()
    return ResumeTokens(lambda: f"token-{next(numbers)}")


def test_tokens_are_long_and_differ() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and min(map(len, tokens)) >= 32


def test_the_one_that_was_used_is_good_until_the_client_has_the_next() -> None:
    tokens = numbered()
    tokens.use("token-0")
    assert tokens.current == "token-1"
    assert tokens.admits("token-0") and tokens.admits("token-1")
    tokens.confirm()
    assert not tokens.admits("token-0") and tokens.admits("token-1")


@pytest.mark.parametrize("token", ["", "token-", "token-00", "tøken-0", "\ud800"])
def test_nothing_else_is_good(token: str) -> None:
    assert not numbered().admits(token)


def test_comparison_takes_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((a, b))
        return a == b

    monkeypatch.setattr(hmac, "compare_digest", compare)
    tokens = numbered()
    tokens.use("token-0")
    assert tokens.admits("token-1")
    assert compared == [(b"token-1", b"token-1"), (b"token-0", b"token-1")], "all are compared, whichever is good"
