"""Results as `run_streams` gives them."""

from client.bench.latency import Summary
from client.bench.run import Result


def make_result(streams: int, p99: float | None = 99.6, errors: dict[str, int] | None = None) -> Result:
    """A result whose chunks took up to so long; None: no chunk came."""
    chunk = None if p99 is None else Summary(9, 55.0, 50.4, 95.0, p99, 200.0)
    return Result(
        streams=streams,
        measured_s=10.0,
        sessions=16,
        audio_s=120.0,
        speed=8.04,
        errors=errors or {},
        wer=0.123,
        real_time_factor=0.0625,
        client_cores=0.054,
        chunk_ms=320,
        distribution=() if p99 is None else tuple(2.0 * n for n in range(101)),
        chunk=chunk,
        queue=None,
        compute=None,
        network=None,
        word=None,
        first_partial=None,
        final=None,
        stop=None,
        late=None,
    )
