import pytest

from client.errors import RefusedError, refusal, refusal_of_close, refusal_of_status
from server.wire import ErrorCode


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_a_class_and_says_what_to_do(code: ErrorCode) -> None:
    error = refusal(code, "8 of 8")
    assert type(error) is not RefusedError
    assert error.code is code
    assert str(error) == f"8 of 8 ({code}): {error.advice}"
    assert error.advice


def test_classes_that_stand_for_one_code_know_it() -> None:
    for kind in RefusedError.__subclasses__():
        if kind.default_code is not None:
            assert type(refusal(kind.default_code, "")) is kind
            assert kind("").code is kind.default_code
            assert str(kind("")).startswith(f"refused without a reason ({kind.default_code})")


def test_a_refusal_needs_a_code() -> None:
    with pytest.raises(TypeError, match="RefusedError expected a code"):
        RefusedError("no")


@pytest.mark.parametrize("code", [None, 1000, 1001, 1006, 1011, 1012, 4999])
def test_closes_that_tell_nothing(code: int | None) -> None:
    assert refusal_of_close(code, "") is None


def test_closes_that_tell_the_reason() -> None:
    error = refusal_of_close(4429, "3 of 3")
    assert error is not None
    assert (error.code, error.message) == (ErrorCode.LIMIT_EXCEEDED, "3 of 3")


def test_statuses() -> None:
    error = refusal_of_status(503)
    assert error is not None
    assert error.code is ErrorCode.OVERLOADED
    assert refusal_of_status(500) is None
