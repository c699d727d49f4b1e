"""What the server counts, for Prometheus."""

from collections.abc import Callable

from prometheus_client import (
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    PROCESS_COLLECTOR,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from server.wire import ErrorCode
from server.worker.messages import Hypothesis, Recognised

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
STREAMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FACTORS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 1.5, 2.5, 5.0)
DURATIONS = (1, 5, 15, 60, 300, 900, 3600, 14400)


class Metrics:
    """One server's metrics, in a registry of their own, so that several servers can live in one process.

    Attributes:
        registry: What `/metrics` shows.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            self.registry.register(collector)
        self.opened = self._counter("sessions", "Sessions that were opened.")
        self.resumed = self._counter("resumes", "Connections that took up a session again.")
        self.received = self._counter("audio_seconds", "Audio received, in seconds, after decoding.")
        self.chunks = self._counter("chunks", "Chunks recognised.")
        self.partials = self._counter("partials", "Partials recognised.")
        self.finals = self._counter("finals", "Finals recognised.")
        self.replays = self._counter("replays", "Streams that another worker took over.")
        self.queue = self._histogram("chunk_queue_seconds", "From a chunk's arrival to its computation.", SECONDS)
        self.compute = self._histogram("chunk_compute_seconds", "Computation of a chunk's batch.", SECONDS)
        self.batch = self._histogram("batch_size", "Streams in the batch of a chunk.", STREAMS)
        text = "Computation of a chunk's batch by the chunk's duration; above 1 the worker falls behind."
        self.real_time = self._histogram("real_time_factor", text, FACTORS)
        self.durations = self._histogram("session_duration_seconds", "From start to end of a session.", DURATIONS)
        self._refusals = Counter(
            "refusals", "Refusals, by error code.", ["code"], namespace="earshot", registry=self.registry
        )
        for code in ErrorCode:  # so that every code is there from the start, at 0
            self._refusals.labels(code.value)

    def recognised(self, message: Recognised, chunk_ms: int) -> None:
        """Count what a chunk brought.

        Args:
            message: From the worker.
            chunk_ms: Duration of the stream's chunks, in milliseconds.
        """
        self.chunks.inc()
        self.queue.observe(message.queue_ms / 1000)
        self.compute.observe(message.compute_ms / 1000)
        self.batch.observe(message.batch)
        self.real_time.observe(message.compute_ms / chunk_ms)
        partials = sum(isinstance(event, Hypothesis) for event in message.events)
        self.partials.inc(partials)
        self.finals.inc(len(message.events) - partials)

    def refused(self, code: ErrorCode) -> None:
        """Count a refusal."""
        self._refusals.labels(code.value).inc()

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for at every scrape."""
        Gauge(name, text, namespace="earshot", registry=self.registry).set_function(value)

    def counted(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Show a number that only grows and is kept elsewhere."""
        self.registry.register(_Counted(f"earshot_{name}", text, value))

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(name, text, namespace="earshot", registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(name, text, namespace="earshot", buckets=buckets, registry=self.registry)


class _Counted(Collector):
    """A counter whose value is kept elsewhere."""

    def __init__(self, name: str, text: str, value: Callable[[], float]) -> None:
        self._name, self._text, self._value = name, text, value

    def collect(self) -> list[CounterMetricFamily]:
        """The counter as it stands."""
        return [CounterMetricFamily(self._name, self._text, value=self._value())]
