import pytest

from server.wire import ErrorCode, WireError

EXTERNAL = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014}


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_a_close_code_that_may_go_on_the_wire(code: ErrorCode) -> None:
    assert code.close_code in EXTERNAL or 4000 <= code.close_code <= 4999


def test_close_codes_tell_the_refusals_apart() -> None:
    assert len({code.close_code for code in ErrorCode}) == len(ErrorCode)


def test_codes_are_lower_snake_case() -> None:
    assert all(code.value == code.name.lower() for code in ErrorCode)


def test_error_carries_code_and_explanation() -> None:
    error = WireError(ErrorCode.MESSAGE_TOO_BIG, "expected less")
    assert error.code is ErrorCode.MESSAGE_TOO_BIG
    assert str(error) == "expected less"
    assert isinstance(error, ValueError)
