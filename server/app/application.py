"""The application: what there is, and how it is wired."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route, WebSocketRoute

from server.app.auth import read_tokens
from server.app.metrics import Metrics
from server.app.page import Page, SecurityHeaders
from server.app.probes import Probes
from server.app.sessions import Sessions
from server.app.streaming import Streaming
from server.pool import Patience, Pool, WorkerCommand, inference_worker
from server.settings import Settings

logger = logging.getLogger(__name__)


def create_app(
    settings: Settings,
    command: WorkerCommand | None = None,
    on_failing: Callable[[str], None] | None = None,
) -> Starlette:
    """Wire the application; workers are started when a server runs it.

    Args:
        settings: Of the server.
        command: Command line of a worker, from the address to connect to; without it the inference worker's.
        on_failing: Takes the reason when no worker runs and one of them fails to start again and again.

    Returns:
        The application; `app.state.sessions` are its sessions.

    Raises:
        ValueError: the token file is not one.
        OSError: the token file cannot be read.
    """
    tokens = None if settings.auth_tokens_file is None else read_tokens(settings.auth_tokens_file)
    metrics = Metrics()
    pool = Pool(
        command or inference_worker(worker_options(settings)),
        settings.workers,
        Patience(start_s=settings.worker_start_s, hang_s=settings.worker_hang_s),
        on_message=lambda message: sessions.from_worker(message),
        on_lost=lambda streams: sessions.lost(streams),
        on_ready=lambda streams: sessions.ready(streams),
        on_failing=on_failing or (lambda reason: logger.critical("no worker starts: %s", reason)),
    )
    sessions = Sessions(settings, metrics, pool)
    streaming = Streaming(settings, tokens, metrics, sessions, pool)
    probes = Probes(metrics, sessions, pool)
    _show(metrics, settings, pool, sessions, streaming)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await pool.start()
        try:
            yield
        finally:
            await sessions.stop()
            await pool.stop()

    app = Starlette(
        routes=[
            WebSocketRoute("/v1/stream", streaming.endpoint),
            Route("/v1/stream", streaming.plain),
            Route("/healthz", probes.healthz),
            Route("/readyz", probes.readyz),
            Route("/metrics", probes.metrics),
            Mount("/", Page()),
        ],
        middleware=[Middleware(SecurityHeaders)],
        lifespan=lifespan,
    )
    app.state.sessions = sessions
    app.state.pool = pool
    return app


def worker_options(settings: Settings) -> list[str]:
    """What the inference worker is told besides the address."""
    options = [] if settings.model is None else ["--model", str(settings.model)]
    for chunk_ms in settings.chunks_ms:
        options += ["--chunks-ms", str(chunk_ms)]
    options += ["--slots", str(settings.slots), "--batch", str(settings.batch), "--engine", settings.engine.value]
    return options if settings.beam is None else [*options, "--beam", str(settings.beam)]


def _show(metrics: Metrics, settings: Settings, pool: Pool, sessions: Sessions, streaming: Streaming) -> None:
    """Show what is counted elsewhere."""
    metrics.gauge("streams", "Sessions that hold a worker's slot.", lambda: sessions.active)
    metrics.gauge("streams_limit", "Sessions that there may be at a time.", lambda: settings.max_streams)
    metrics.gauge("connections", "Open websockets.", lambda: streaming.connections)
    metrics.gauge("draining", "1 while the server is about to stop.", lambda: sessions.draining)
    metrics.gauge("workers", "Workers that there should be.", lambda: len(pool.workers))
    metrics.gauge(
        "workers_ready", "Workers that take streams.", lambda: sum(w.started is not None for w in pool.workers)
    )
    metrics.counted("worker_restarts", "Workers that died or hung and were started again.", lambda: pool.restarts)
