"""The application on uvicorn: sockets, signals, TLS."""

import asyncio
import logging
import socket
from types import FrameType

import uvicorn

from server.app.application import create_app
from server.app.drain import drain
from server.app.logs import fields, set_up_logging
from server.app.transport import LinkedWebSocket, PromptHttp
from server.pool import WorkerCommand
from server.settings import Settings

CLOSE_S = 5  # seconds that connections get to close when the server has drained
TEXT_BYTES = 64 * 1024
"""What a frame may be longer than the longest binary frame: the session tells the client then, uvicorn only closes."""

logger = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Drains on the first SIGTERM or SIGINT, ends at once on the second.

    Args:
        settings: Of the server.
        command: Command line of a worker; without it the inference worker's.

    Attributes:
        failed: Why the server had to end, if it had to.
    """

    def __init__(self, settings: Settings, command: WorkerCommand | None = None) -> None:
        """Wire everything; nothing runs before `serve`."""
        self.failed: str | None = None
        self._settings = settings
        self._app = create_app(settings, command, on_failing=self._fail)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._drain: asyncio.Task[None] | None = None
        self._signals = 0
        super().__init__(
            uvicorn.Config(
                self._app,
                host=settings.host,
                port=settings.port,
                http=PromptHttp,
                ws=LinkedWebSocket,
                ws_max_size=2 * settings.frame_bytes + TEXT_BYTES,
                ws_ping_interval=settings.ping_s,
                ws_ping_timeout=settings.ping_s,
                ws_per_message_deflate=False,  # audio does not compress, and inflating is work for an attacker to give
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=CLOSE_S,
                lifespan="on",
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say where."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        scheme = "http" if self._settings.tls_cert is None else "https"
        for listening in (listener for server in self.servers for listener in server.sockets):
            host, port = listening.getsockname()[:2]
            logger.info("listening", extra=fields(url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came; the interpreter may be anywhere in the event loop."""
        self._signals += 1
        if self._signals > 1 or self._loop is None:
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._start_to_drain)

    def _start_to_drain(self) -> None:
        """Drain, then end."""
        self._drain = asyncio.ensure_future(drain(self._app.state.sessions, self._settings.drain_s))
        self._drain.add_done_callback(lambda _: setattr(self, "should_exit", True))

    def _fail(self, reason: str) -> None:
        """No worker starts: end, so that whoever runs us notices."""
        logger.critical("no worker starts: %s", reason)
        self.failed = reason
        self.should_exit = True


def serve(settings: Settings, command: WorkerCommand | None = None) -> int:
    """Run the server until it is told to end.

    Args:
        settings: Of the server.
        command: Command line of a worker; without it the inference worker's.

    Returns:
        The process's exit status: 0, or 1 if no worker could be started.
    """
    set_up_logging(settings.log_format)
    server = Server(settings, command)
    server.run()
    return 0 if server.failed is None else 1
