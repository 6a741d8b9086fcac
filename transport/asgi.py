"""The application for an ASGI server of one's own: `gunicorn … transport.asgi:app`."""

from __future__ import annotations

import os
from functools import partial

from queues.config import load
from transport.composition import compose
from transport.standby import Standby

app = Standby(partial(compose, load({}, os.environ)))
