"""Audio decoded inside a tf.data graph by tensorflow-io, from any file system that TensorFlow reads.

For the `tfio` extra alone, whose tensorflow-io 0.37.1 loads only with TensorFlow 2.16, in an environment of
its own: nothing else imports this module. Paths may have any scheme of `tf.io.gfile` (file, ram) or of
tensorflow-io (http, s3, az, hdfs, …). WAV, FLAC, Ogg Vorbis and MP3 are decoded; for Ogg Opus, which
tensorflow-io cannot decode, there is `data.audio`. At 16 kHz the samples equal those of
`data.audio.load_audio`; other rates are resampled in the graph, by Fourier transform, which differs a little
from soxr at the ends of a file and at the edge of the band.
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

from data.audio import SAMPLE_RATE
from data.manifest import ManifestError, Utterance, scan_lines

Tensor = Any  # TensorFlow is imported in the functions: the other tools of this package must load without it
_HEADER_BYTES = 65_536  # within which a WAV file's format chunk must start
_MP3_RATES = (44_100, 48_000, 32_000)  # Hz, of MPEG-1; halved for MPEG-2, quartered for MPEG-2.5


def read_remote_manifest(url: str, splits: Collection[str] | None = None, check_audio: bool = True) -> list[Utterance]:
    """Reads a manifest through `tf.io.gfile`; all else is as of `data.manifest.read_manifest`."""
    import tensorflow as tf

    try:
        contents = tf.io.gfile.GFile(url, "rb").read()
    except tf.errors.OpError as error:
        raise ManifestError(f"{url}: cannot read the manifest: {error.message}") from error
    utterances = []
    exists = tf.io.gfile.exists if check_audio else None
    for _, found in scan_lines(contents.splitlines(), url, splits, exists):
        if isinstance(found, ManifestError):
            raise found
        utterances.append(found)
    return utterances


def sample_dataset(utterances: Sequence[Utterance], parallel: int = 2) -> Any:
    """A tf.data source of decoded utterances.

    Args:
        utterances: Whose audio is read and decoded in the graph, in this order.
        parallel: Files decoded at once.

    Returns:
        Dataset of {"id": text, "samples": [n] float32 at 16 kHz}. Iterating raises InvalidArgumentError for
        what is not audio and NotFoundError for a missing file, with its path.
    """
    import tensorflow as tf

    ids, paths = [u.id for u in utterances], [u.audio for u in utterances]
    dataset = tf.data.Dataset.from_tensor_slices((tf.constant(ids, tf.string), tf.constant(paths, tf.string)))
    return dataset.map(
        lambda name, path: {"id": name, "samples": read_samples(path)},
        num_parallel_calls=parallel,
        deterministic=True,
    )


def read_samples(path: Tensor) -> Tensor:
    """Reads and decodes one file: [] text -> [n] float32 at 16 kHz; works in a graph."""
    import tensorflow as tf

    return decode_samples(tf.io.read_file(path), path)


def decode_samples(contents: Tensor, path: Tensor) -> Tensor:
    """Decodes one file's bytes.

    Args:
        contents: [] bytes.
        path: [] text, for errors.

    Returns:
        [n] float32, mono at 16 kHz. Raises InvalidArgumentError, naming the path, if the bytes are none of
        the four formats, hold no samples, or samples that are not finite.
    """
    import tensorflow as tf

    head = tf.cast(tf.io.decode_raw(tf.strings.substr(contents, 0, _HEADER_BYTES), tf.uint8), tf.int32)
    head = tf.pad(head, [[0, 64]])  # so that a short file's header can be looked at
    formats = [
        (_starts(head, b"RIFF"), _wav),
        (_starts(head, b"fLaC"), _flac),
        (_starts(head, b"OggS") & _starts(head[28:], b"\x01vorbis"), _vorbis),
        (_starts(head, b"ID3") | ((head[0] == 0xFF) & (head[1] >= 0xE0)), _mp3),
    ]
    known = tf.reduce_any([test for test, _ in formats])
    with _required(known, path, "expected WAV, FLAC, Ogg Vorbis or MP3"):
        head = tf.identity(head)
    cases = [(test, lambda decode=decode: decode(contents, head)) for test, decode in formats]
    channels, rate = tf.case(cases)
    mono = tf.reduce_mean(channels, axis=1)  # [n, c] -> [n]
    samples = tf.cond(rate == SAMPLE_RATE, lambda: mono, lambda: _resampled(mono, rate))
    finite = tf.reduce_all(tf.math.is_finite(samples))
    with (
        _required(tf.size(samples) > 0, path, "expected audio, got 0 samples"),
        _required(finite, path, "expected finite samples, got NaN or infinity"),
    ):
        return tf.ensure_shape(samples, [None])


def _required(condition: Tensor, path: Tensor, expected: str) -> AbstractContextManager[Any]:
    """A context whose operations run only if the condition holds."""
    import tensorflow as tf

    check = tf.debugging.Assert(condition, [tf.strings.join([path, f": {expected}"])])
    return tf.control_dependencies([check])


def _resampled(mono: Tensor, rate: Tensor) -> Tensor:
    """Resamples [n] from `rate` Hz to 16 kHz by Fourier transform.

    tensorflow-io has a resampler too, but its output is late by the length of its filter.
    """
    import tensorflow as tf

    step_in, step_out = _coprime(rate)
    count = tf.size(mono, tf.int64)
    # Whole steps, and 50 ms of silence, for the end of a Fourier transform goes on at its beginning.
    steps = (count + rate // 20) // step_in + 1
    size_in, size_out = steps * step_in, steps * step_out
    padded = tf.pad(mono, [[0, size_in - count]])
    spectrum = tf.signal.rfft(padded)[: tf.minimum(size_in, size_out) // 2 + 1]
    # irfft cuts or pads the spectrum to the size it is given.
    resampled = tf.signal.irfft(spectrum, [tf.cast(size_out, tf.int32)])
    scale = tf.cast(step_out, tf.float32) / tf.cast(step_in, tf.float32)
    return resampled[: tf.cast(tf.round(count * step_out / step_in), tf.int64)] * scale


def _coprime(rate: Tensor) -> tuple[Tensor, Tensor]:
    """The fewest samples at `rate` and at 16 kHz that last equally long, by Euclid's algorithm."""
    import tensorflow as tf

    whole = tf.constant(SAMPLE_RATE, tf.int64)
    divisor, _ = tf.while_loop(lambda a, b: b > 0, lambda a, b: (b, a % b), (whole, rate))
    return rate // divisor, whole // divisor


def _starts(head: Tensor, magic: bytes) -> Tensor:
    import tensorflow as tf

    return tf.reduce_all(head[: len(magic)] == list(magic))


def _little_endian(data: Tensor, at: Tensor, size: int) -> Tensor:
    import tensorflow as tf

    return tf.reduce_sum(data[at : at + size] * [256**i for i in range(size)])


def _scaled(integers: Tensor) -> Tensor:
    """Integers of full scale to floats in [-1, 1)."""
    import tensorflow as tf

    return tf.cast(tf.cast(integers, tf.float64) / -float(integers.dtype.min), tf.float32)


def _wav(contents: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    import tensorflow as tf
    import tensorflow_io as tfio

    places = [head[i : tf.size(head) - 3 + i] == byte for i, byte in enumerate(b"fmt ")]
    chunk = tf.argmax(tf.cast(tf.reduce_all(places, axis=0), tf.int32), output_type=tf.int32)  # the first
    code, rate, bits = (_little_endian(head, chunk + at, n) for at, n in ((8, 2), (12, 4), (22, 2)))
    # An extensible format has its true code in the first two bytes of its subformat.
    code = tf.where(code == 0xFFFE, _little_endian(head, chunk + 32, 2), code)
    decode = tfio.audio.decode_wav
    channels = tf.case(
        [
            (code == 3, lambda: decode(contents, dtype=tf.float32)),
            # The operation takes all 32 bits for floats.
            (bits == 32, lambda: _scaled(tf.bitcast(decode(contents, dtype=tf.float32), tf.int32))),
            (bits == 8, lambda: (tf.cast(decode(contents, dtype=tf.uint8), tf.float32) - 128.0) / 128.0),
            (bits == 16, lambda: _scaled(decode(contents, dtype=tf.int16))),
        ],
        default=lambda: _scaled(decode(contents, dtype=tf.int32)),
    )
    return channels, tf.cast(rate, tf.int64)


def _flac(contents: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    """RFC 9639, section 8.2: the stream's information comes first; in it rate, channels and depth."""
    import tensorflow as tf
    import tensorflow_io as tfio

    rate = head[18] * 4096 + head[19] * 16 + head[20] // 16
    bits = (head[20] % 2) * 16 + head[21] // 16 + 1
    channels = tf.cond(
        bits == 16,
        lambda: _scaled(tfio.audio.decode_flac(contents, dtype=tf.int16)),
        lambda: _scaled(tfio.audio.decode_flac(contents, dtype=tf.int32)),
    )
    return channels, tf.cast(rate, tf.int64)


def _vorbis(contents: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    """Vorbis I, section 4.2.2: the first page holds the identification header alone, its rate 12 bytes in."""
    import tensorflow as tf
    import tensorflow_io as tfio

    return tfio.audio.decode_vorbis(contents), tf.cast(_little_endian(head, tf.constant(40), 4), tf.int64)


def _mp3(contents: Tensor, head: Tensor) -> tuple[Tensor, Tensor]:
    """ISO/IEC 11172-3, section 2.4.1.3, after an ID3v2 tag, whose size has 7 bits a byte."""
    import tensorflow as tf
    import tensorflow_io as tfio

    tag = 10 + tf.reduce_sum(head[6:10] * [1 << 21, 1 << 14, 1 << 7, 1])
    start = tf.where(_starts(head, b"ID3"), tag, 0)
    frame = tf.cast(tf.io.decode_raw(tf.strings.substr(contents, start, 4), tf.uint8), tf.int32)
    version = frame[1] // 8 % 4  # 3: MPEG-1, 2: MPEG-2, 0: MPEG-2.5
    divisor = tf.where(version == 3, 1, tf.where(version == 2, 2, 4))
    rate = tf.gather(tf.constant(_MP3_RATES), tf.minimum(frame[2] // 4 % 4, 2)) // divisor
    return tfio.audio.decode_mp3(contents), tf.cast(rate, tf.int64)
