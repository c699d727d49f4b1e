"""`/healthz`, `/readyz`, `/metrics`: for whoever runs the server."""

from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from server.app.metrics import Metrics
from server.app.sessions import Sessions
from server.pool import Pool


class Probes:
    """Answers without authentication, and says nothing about who uses the server.

    Args:
        metrics: What is shown.
        sessions: Whether the server is about to stop.
        pool: Whether it recognises.
    """

    def __init__(self, metrics: Metrics, sessions: Sessions, pool: Pool) -> None:
        """Keep them."""
        self._metrics, self._sessions, self._pool = metrics, sessions, pool

    async def healthz(self, request: Request) -> Response:
        """The process is alive and its event loop runs."""
        return _answer(200, status="ok")

    async def readyz(self, request: Request) -> Response:
        """New sessions are welcome: every worker has a compiled step, and the server is not about to stop."""
        about = self._pool.about
        if self._sessions.draining:
            return _answer(503, status="draining")
        if about is None:
            return _answer(503, status="loading")
        if not self._pool.ready:
            return _answer(503, status="recovering")
        how = {"device": about.device, "engine": about.engine, "beam": about.beam}
        return _answer(200, status="ready", model=about.model, chunks_ms=about.chunks_ms, **how)

    async def metrics(self, request: Request) -> Response:
        """All metrics, in the format that the scraper prefers."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._metrics.registry), headers={"content-type": content_type})


def _answer(http_status: int, **values: object) -> Response:
    """A small JSON answer that nobody may keep."""
    return JSONResponse(values, http_status, headers={"cache-control": "no-store"})
