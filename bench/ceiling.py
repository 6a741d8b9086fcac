"""The ceiling: a bare Falcon application under a plain server, which only parses and answers.

It reads a post as JSON and answers as if it had stored one message; it answers a GET with a
constant. No checks, no headers of its own, no store: what is left is the price of HTTP,
gunicorn, uvicorn's own worker, uvloop and Falcon. Run by `python -m bench`, or by hand:

    python -m bench.ceiling <port> <workers>
"""

from __future__ import annotations

import socket
import sys
from typing import Any, ClassVar

import falcon
import falcon.asgi
from gunicorn.app.base import BaseApplication
from uvicorn_worker import UvicornWorker

from queues.config import Settings
from transport.listener import listen
from transport.server import gunicorn_options

#: What both requests go to.
PATH = "/v2/queues/bench/messages"


class Messages:
    """A resource without anything behind it."""

    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer with a constant."""
        resp.data = b'{"messages": [], "links": []}'

    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Parse the body and answer like a post of one message."""
        await req.get_media()
        resp.status = falcon.HTTP_201
        resp.data = b'{"resources": ["/v2/queues/bench/messages/0123456789abcdef012345"]}'


def application() -> falcon.asgi.App[Any, Any]:
    """Return the bare application."""
    app = falcon.asgi.App()
    app.add_route(PATH, Messages())
    return app


class PlainWorker(UvicornWorker):
    """Uvicorn's worker as it comes, without a log of requests, like ours."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",
        "lifespan": "off",
        "access_log": False,
    }


class Bare(BaseApplication):
    """Gunicorn with the options of the real server, but a plain worker."""

    def __init__(self, listener: socket.socket, workers: int) -> None:
        """Serve on `listener` with so many processes."""
        self._fd = listener.detach()
        self._workers = workers
        super().__init__()

    def load_config(self) -> None:
        """Take the options of the real server."""
        options = gunicorn_options(Settings(workers=self._workers, log_level="warning"))
        plain = {"worker_class": PlainWorker, "bind": f"fd://{self._fd}"}
        for name, value in {**options, **plain}.items():
            self.cfg.set(name, value)

    def load(self) -> falcon.asgi.App[Any, Any]:
        """Return the application of a worker."""
        return application()


if __name__ == "__main__":
    port, workers = (int(argument) for argument in sys.argv[1:])
    Bare(listen("127.0.0.1", port), workers).run()
