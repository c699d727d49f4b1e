"""`/`: the browser page, and the headers under which browsers trust it with nothing but this server."""

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

FOLDER = Path(__file__).parents[1] / "page"
HEADERS = {
    "Cache-Control": "no-cache",  # a new version shows at once; unchanged files cost a 304
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Page:
    """The files of `server/page`; not for websockets."""

    def __init__(self) -> None:
        self._files = StaticFiles(directory=FOLDER, html=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            # A 404, as for any other address that there is not: a close would become a 403, as for one's origin.
            answer = PlainTextResponse("no websocket here: expected /v1/stream", 404)
            await WebSocket(scope, receive, send).send_denial_response(answer)
            return
        await self._files(scope, receive, send)


class SecurityHeaders:
    """Adds `HEADERS` to every HTTP response, but those that it has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)
