"""Nusku under a gunicorn of your own.

    gunicorn -c examples/gunicorn.conf.py transport.asgi:app

All settings come from NUSKU_* variables, or from the file that NUSKU_CONFIG names.
`nusku serve` does the same without this file.
"""

import os
import sys

from queues.config import load
from queues.errors import ConfigurationError, StorageUnavailable
from transport.server import gunicorn_options
from transport.trial import try_settings

try:
    settings = load({}, os.environ)
    try_settings(settings)
except (ConfigurationError, StorageUnavailable) as ex:
    sys.exit(f"nusku: {ex}")

host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{host}:{settings.port}"
globals().update(gunicorn_options(settings))
