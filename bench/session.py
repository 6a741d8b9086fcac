"""One connection that goes through the script of a workload, operation by operation."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.client import Client
from bench.workloads import Script

#: Called with the session, when its operation was to begin, and when it ended.
Done = Callable[["Session", float, float], None]


class Session:
    """A connection and its script. An operation is `steps` requests."""

    def __init__(self, client: Client, script: Script, steps: int) -> None:
        """Be ready to begin; `done` and `dry` are to be set first."""
        self.done: Done
        self.dry: Callable[[], None]
        self.client = client
        self._script = script
        self._steps = steps
        self._left = 0
        self._since_s = 0.0
        self._request: bytes | None = next(script, None)
        client.answered = self._answered

    def begin(self, since_s: float) -> None:
        """Start an operation whose latency counts from `since_s`, a `perf_counter`."""
        if self._request is None:
            self.dry()
            return
        self._since_s = since_s
        self._left = self._steps
        self.client.send(self._request)

    def _answered(self, answer: bytes) -> None:
        now_s = time.perf_counter()
        try:
            self._request = self._script.send(answer)
        except StopIteration:
            self._request = None
            self.dry()
        except Exception as ex:
            # NOTE: a callback has nobody above it who would hear.
            self.client.failed(ex)
        else:
            self._go_on(now_s)

    def _go_on(self, now_s: float) -> None:
        self._left -= 1
        if self._left and self._request is not None:
            self.client.send(self._request)
        else:
            self.done(self, self._since_s, now_s)
