"""The web application: the websocket, the probes, the metrics and the page, on one port."""

from server.app.application import create_app

__all__ = ["create_app"]
