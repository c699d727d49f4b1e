import pytest

from client.address import stream_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost", "ws://localhost/v1/stream"),
        ("localhost:8000", "ws://localhost:8000/v1/stream"),
        ("ws://host", "ws://host/v1/stream"),
        ("http://host:80/", "ws://host:80/v1/stream"),
        ("https://host", "wss://host/v1/stream"),
        ("wss://host/speech/v1/stream?x=1", "wss://host/speech/v1/stream?x=1"),
        ("ws://[::1]:8000", "ws://[::1]:8000/v1/stream"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert stream_url(text) == url


@pytest.mark.parametrize("text", ["", "ftp://host", "ws://", "ws://:8000"])
def test_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected an address such as ws://localhost:8080, got '"):
        stream_url(text)


def test_a_password_is_not_echoed() -> None:
    with pytest.raises(ValueError, match="without a user") as caught:
        stream_url("wss://me:hunter2@host")
    assert "hunter2" not in str(caught.value)
