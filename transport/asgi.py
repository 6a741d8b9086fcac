"""The application for an ASGI server of one's own: `gunicorn … transport.asgi:app`."""

from __future__ import annotations

import os

from queues.config import load
from transport.composition import compose

app = compose(load({}, os.environ))
