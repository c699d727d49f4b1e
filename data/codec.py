"""Lossy codecs there and back, through FFmpeg (PyAV): what a compressed recording still has."""

import io

import numpy as np
from numpy.typing import NDArray

from data.audio import SAMPLE_RATE, to_mono_16k

Samples = NDArray[np.float32]


def mp3(samples: Samples, bit_rate: int = 32_000) -> Samples:
    """Encodes samples as MP3 and decodes them again, without the codec's delay.

    Args:
        samples: [n] float32 at 16 kHz, full scale 1.
        bit_rate: Bits per second, constant.

    Returns:
        [n].
    """
    import av  # not in the base install

    if not len(samples):
        return samples.copy()
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=SAMPLE_RATE, bit_rate=bit_rate, layout="mono", format="fltp")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.rate = SAMPLE_RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    file.seek(0)
    with av.open(file, "r") as container:  # the container's header tells the delay, which the decoder leaves out
        decoded = [frame.to_ndarray().T for frame in container.decode(audio=0)]
    found = to_mono_16k(np.concatenate(decoded).astype(np.float32, copy=False), SAMPLE_RATE)[: len(samples)]
    return np.pad(found, (0, len(samples) - len(found)))
