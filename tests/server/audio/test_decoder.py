import pytest

from server.audio import AudioError, make_decoder
from server.audio.container import ContainerDecoder
from server.audio.samples import SampleDecoder
from server.wire import Encoding


@pytest.mark.parametrize("encoding", Encoding)
def test_every_encoding_has_a_decoder(encoding: Encoding) -> None:
    decoder = make_decoder(encoding, 16_000)
    expected = ContainerDecoder if encoding is Encoding.CONTAINER else SampleDecoder
    assert isinstance(decoder, expected)
    assert (decoder.samples, decoder.received_bytes) == (0, 0)
    decoder.close()


def test_a_container_needs_no_rate_but_bare_samples_do() -> None:
    make_decoder(Encoding.CONTAINER, None).close()
    with pytest.raises(AudioError, match="expected a sample rate for pcm_s16le, got none"):
        make_decoder(Encoding.S16LE, None)
